import { encodeForm, type FormValue } from '../form.ts'
import type { EventParts } from './events.ts'
import type { Installation } from './installations.ts'
import type { Delivery } from './sender.ts'

/** A request to a handler that is not told of an event but asked to do something. */
export interface Post {
  /** What it is counted as: `robot`, `sms` … */
  readonly kind: string
  readonly url: string
  readonly form: { readonly [name: string]: FormValue }
}

/** True when an application may be asked at all: installed to its end, and paid for. */
export function isReady({ installed, paid }: Installation): boolean {
  return installed && paid
}

/** Posts once, whatever comes of it. */
export async function post(
  { sender }: EventParts,
  { portal }: Pick<Installation, 'portal'>,
  { kind, url, form }: Post,
): Promise<Delivery[]> {
  const encoded = encodeForm(form, portal.settings.switches.nullInEvents)
  const outgoing = { event: kind, url, form: encoded, memberId: portal.memberId }
  return [await sender.send(outgoing, portal.tally.events)]
}
