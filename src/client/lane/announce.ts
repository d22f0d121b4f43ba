import { BridgeError, StoreError } from '../../model/errors.ts'
import type { LaneRequest } from './exchange.ts'
import type { Waiting } from './waiting.ts'

/**
 * Runs the hooks of work that is about to leave for the first time; without any it costs nothing. What you get is the
 * work that must not leave, with the reason.
 */
export async function announce(request: LaneRequest): Promise<ReadonlyMap<Waiting, BridgeError>> {
  const refused = new Map<Waiting, BridgeError>()
  const hooks: Promise<void>[] = []
  for (const item of request.items) {
    if (item.announced) continue
    item.announced = true
    const { beforeSend } = item.work
    if (beforeSend === undefined) continue
    const refuse = (error: unknown): void => {
      const known = error instanceof BridgeError
      refused.set(item, known ? error : new StoreError('STORE_FAILED', String(error), { cause: error }))
    }
    hooks.push(Promise.resolve(beforeSend()).catch(refuse))
  }
  if (hooks.length > 0) await Promise.all(hooks)
  return refused
}
