import { BATCH } from '../batch.ts'
import type { MethodTable } from '../method.ts'
import type { NamedMethod } from '../perform.ts'
import { BIZPROC_METHODS } from './bizproc.ts'
import { CRM_METHODS } from './crm.ts'
import { ITEM_METHODS } from './crm-item.ts'
import { DEPARTMENT_METHODS } from './departments.ts'
import { EVENT_METHODS } from './events.ts'
import { BOT_METHODS } from './imbot.ts'
import { BOT_MESSAGE_METHODS } from './imbot-messages.ts'
import { BOT_V2_METHODS } from './imbot-v2.ts'
import { CONNECTOR_METHODS } from './imconnector.ts'
import { LIST_METHODS } from './lists.ts'
import { MESSAGE_METHODS } from './messageservice.ts'
import { OFFLINE_METHODS } from './offline.ts'
import { PLACEMENT_METHODS } from './placements.ts'
import { PULL_METHODS } from './pull.ts'
import { systemMethods } from './system.ts'
import { TASK_COMMENT_METHODS } from './task-comments.ts'
import { TASK_METHODS } from './tasks.ts'
import { FIELD_TYPE_METHODS } from './user-field-types.ts'
import { USER_METHODS } from './users.ts'

const METHODS: MethodTable = {
  batch: BATCH,
  ...systemMethods(() => METHODS),
  ...EVENT_METHODS,
  ...OFFLINE_METHODS,
  ...USER_METHODS,
  ...DEPARTMENT_METHODS,
  ...CRM_METHODS,
  ...ITEM_METHODS,
  ...TASK_METHODS,
  ...TASK_COMMENT_METHODS,
  ...LIST_METHODS,
  ...PULL_METHODS,
  ...BIZPROC_METHODS,
  ...MESSAGE_METHODS,
  ...BOT_METHODS,
  ...CONNECTOR_METHODS,
  ...PLACEMENT_METHODS,
  ...FIELD_TYPE_METHODS,
  ...BOT_MESSAGE_METHODS,
  ...BOT_V2_METHODS,
}

const BY_NAME = new Map<string, NamedMethod>(
  Object.entries(METHODS).map(([name, method]) => [name, { name, method }]),
)

/** The method with this name, whatever its case, or `undefined`. */
export function findMethod(name: string): NamedMethod | undefined {
  return BY_NAME.get(name) ?? BY_NAME.get(name.toLowerCase())
}
