import { BridgeError, FaultError } from '../../model/errors.ts'
import type { LaneRequest } from './exchange.ts'
import type { Waiting } from './waiting.ts'

/**
 * The last word before a request leaves: runs the hooks of its work until none of them has anything to do. What you get is
 * the work that must not leave, with the reason; a hook that fails with an error of nobody's making is a `FaultError`. A token that has to be renewed is renewed first, for that may take longer
 * than what the hooks say holds; rejects with the `AuthError` when nobody may call in that name.
 */
export async function announce(request: LaneRequest): Promise<ReadonlyMap<Waiting, BridgeError>> {
  await request.credential.authorize()
  const refused = new Map<Waiting, BridgeError>()
  for (;;) {
    const hooks: Promise<void>[] = []
    for (const item of request.items) {
      if (refused.has(item)) continue
      const refuse = (error: unknown): void => {
        refused.set(item, error instanceof BridgeError ? error : new FaultError(error))
      }
      try {
        const running = item.work.beforeSend?.()
        if (running !== undefined) hooks.push(running.catch(refuse))
      } catch (error) {
        refuse(error)
      }
    }
    if (hooks.length === 0) return refused
    await Promise.all(hooks)
  }
}
