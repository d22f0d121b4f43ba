import type { MethodTable } from '../method.ts'
import type { NamedMethod } from '../perform.ts'
import { EVENT_LOG_METHODS } from './event-log.ts'
import { V3_TASK_METHODS } from './tasks.ts'

/** https://apidocs.bitrix24.com/api-reference/rest-v3.html */
const METHODS: MethodTable = {
  ...V3_TASK_METHODS,
  ...EVENT_LOG_METHODS,
  'rest.scope.list': {
    scopes: [],
    run: () => ({
      result: {
        items: Object.entries(METHODS).map(([method, { scopes }]) => ({ method, scopes: [...scopes] })),
      },
    }),
  },
}

const BY_NAME = new Map<string, NamedMethod>(
  Object.entries(METHODS).map(([name, method]) => [name, { name, method }]),
)

/** The method of REST v3 with this name, whatever its case, or `undefined`. */
export function findV3Method(name: string): NamedMethod | undefined {
  return BY_NAME.get(name.toLowerCase())
}
