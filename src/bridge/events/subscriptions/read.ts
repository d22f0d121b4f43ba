import type { Client } from '../../../client/client.ts'
import type { CallSettled } from '../../../client/lane/work.ts'
import { type BridgeError, CommandError } from '../../../model/errors.ts'
import { isJsonObject, type Json } from '../../../model/json.ts'
import { BOUND_LISTS, type Bound, type BoundListName } from './kinds.ts'

/** What a portal has, as far as it lets itself be asked. */
export interface PortalBindings {
  readonly bound: readonly Bound[]
  /** Lists that were refused, with the reason: mostly the application's scope. */
  readonly refused: ReadonlyMap<BoundListName, BridgeError>
}

const NAMES = Object.keys(BOUND_LISTS) as BoundListName[]

/**
 * Asks all lists in one request. Rejects when the portal cannot be called, or when the user is no administrator: then
 * the lists would be his own only.
 */
export async function readBindings(client: Pick<Client, 'batch' | 'send'>): Promise<PortalBindings> {
  const lists = NAMES.map((name) => [name, [BOUND_LISTS[name].method, BOUND_LISTS[name].params]] as const)
  const { settled } = await client.batch({ profile: ['profile'], ...Object.fromEntries(lists) })
  const { answer, error } = settled.profile as CallSettled
  if (error !== undefined) throw error
  const profile = answer?.body.result
  if (!isJsonObject(profile) || profile.ADMIN !== true) throw notAdmin()

  const bound: Bound[] = []
  const refused = new Map<BoundListName, BridgeError>()
  for (const name of NAMES) {
    const list = BOUND_LISTS[name]
    for (let one = settled[name] as CallSettled; ; ) {
      if (one.error !== undefined) {
        refused.set(name, one.error)
        break
      }
      bound.push(...list.read(one.answer?.body.result))
      const next: Json | undefined = one.answer?.body.next
      if (typeof next !== 'number') break
      one = await client.send(list.method, { ...list.params, start: next })
    }
  }
  return { bound, refused }
}

function notAdmin(): CommandError {
  return new CommandError('NOT_ADMIN', 'The user whose tokens are stored is no administrator of the portal', {
    status: 403,
    hint: 'Let an administrator open the application on the portal once.',
  })
}
