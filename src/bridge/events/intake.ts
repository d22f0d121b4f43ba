import { BridgeError, CommandError, StoreError } from '../../model/errors.ts'
import type { PortalEvent } from '../../model/event.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Installs } from '../installs/installs.ts'
import { parseForm } from './forms.ts'
import { normalise, originOf } from './normalise.ts'
import { createRecent } from './recent.ts'
import { type Recognised, recognise } from './recognise.ts'
import { refuseEvent } from './refusals.ts'
import type { DurableOutlet, Kept } from './spool.ts'
import type { EventVerifier, Origin, Proven } from './verify.ts'

/** A form that was posted to us. */
export interface EventRequest {
  /** Of the address, without the question mark. */
  readonly query: string
  readonly body: string
  /** Milliseconds since 1970. */
  readonly receivedAt: number
  /** Where it comes from. */
  readonly address: string
}

/** What became of a request; for metrics. */
export type Taken =
  | Kept
  /** Kept before. */
  | 'duplicate'
  /** The portal told that offline events wait. */
  | 'nudge'
  /** Not proven. */
  | 'refused'
  /** Not a form of a portal. */
  | 'invalid'
  /** Of a portal perhaps, but not for us. */
  | 'unknown'
  /** Proven, perhaps, and not kept. */
  | 'lost'

/** Takes what portals post when something happened. */
export interface EventIntake {
  /**
   * Resolves when the event is durable: the portal may be answered with 200. Rejects with a `CommandError`, one of
   * `EVENT_REFUSALS` or, for events of an application's own life, of `INSTALL_REFUSALS`.
   */
  take(request: EventRequest): Promise<void>
}

export interface EventIntakeOptions {
  readonly verifier: EventVerifier
  readonly outlet: Pick<DurableOutlet, 'keep'>
  readonly installs: Pick<Installs, 'takeEvent'>
  readonly now: () => number
  readonly newId: () => string
  /** Requests in hand at most; 10,000. */
  readonly mostAtOnce?: number
  /** False for a request that is to be turned away for where it comes from. */
  readonly mayCome?: (address: string) => boolean
  /** Add the fields as they were posted, without tokens; false. */
  readonly withRaw?: boolean
  /** Events of a portal wait to be fetched. */
  readonly onOfflineNudge?: (memberId: string, clientId: string | undefined) => void
  /** A request was proven; what it brings besides the event is for whoever wants it, after the answer. */
  readonly onProven?: (from: Proven, form: JsonObject) => void
  /** An event of this portal is gone: portals do not repeat them. */
  readonly onLost?: (memberId: string) => void
  /** A request was turned away, with the code of its error; for a log that does not repeat itself. */
  readonly onRefused?: (way: string, code: string) => void
  /** A request ended; `ms` since its arrival. */
  readonly onTaken: (result: Taken, ms: number, event: PortalEvent | undefined) => void
}

interface Outcome {
  readonly result: Taken
  readonly event?: PortalEvent
}

/** The same event within this time is taken once. */
const SAME_WITHIN_MS = 10 * 60_000
const MOST_REMEMBERED = 100_000

/** The intake over an outlet; does no I/O by itself. */
export function createEventIntake(options: EventIntakeOptions): EventIntake {
  const { verifier, outlet, installs, now, mostAtOnce = 10_000 } = options
  const recent = createRecent({ windowMs: SAME_WITHIN_MS, most: MOST_REMEMBERED, now })
  let inHand = 0

  async function take(request: EventRequest): Promise<Outcome> {
    if (options.mayCome?.(request.address) === false) throw refuseEvent('SOURCE_NOT_LISTED')
    const form = parseForm(request.body)
    const query = new URLSearchParams(request.query)
    const seen = recognise(form, query)
    const origin = originOf(form, query)
    if (seen.what === 'life-cycle') return takeLifeCycle(request, form, origin, seen.event)
    if (seen.what !== 'happening' && seen.what !== 'nudge') throw refuseEvent('HAPPENING_UNKNOWN')
    const from = await verifier.verify(origin)
    if (from === undefined) throw refuseEvent('NOT_VERIFIED')
    if (seen.what === 'nudge') options.onOfflineNudge?.(from.memberId, from.clientId)
    const outcome: Outcome =
      seen.what === 'nudge' ? { result: 'nudge' } : await keep(request, form, from, seen)
    // After the answer: nobody waits for the tokens in the form.
    setImmediate(() => options.onProven?.(from, form))
    return outcome
  }

  /** What we know of the portal changes with these, so they have a road of their own, and are told to consumers after it. */
  async function takeLifeCycle(
    request: EventRequest,
    form: JsonObject,
    origin: Origin,
    event: string,
  ): Promise<Outcome> {
    // Afterwards nothing would prove an application that is gone.
    const before = event === 'ONAPPUNINSTALL' ? await verifier.verify(origin) : undefined
    const { memberId, clientId, domain = before?.domain ?? '' } = await installs.takeEvent(request.body)
    verifier.forget(memberId)
    return keep(request, form, { memberId, domain, clientId }, { kind: 'app', event })
  }

  async function keep(
    { receivedAt }: EventRequest,
    form: JsonObject,
    from: Proven,
    seen: Pick<Extract<Recognised, { what: 'happening' }>, 'kind' | 'event'>,
  ): Promise<Outcome> {
    const { newId, withRaw = false } = options
    const event = normalise({ ...seen, form, from, receivedAt, newId, withRaw })
    try {
      const kept = await recent.once(event.key, () => outlet.keep(event))
      return { result: kept === 'again' ? 'duplicate' : kept, event }
    } catch (error) {
      options.onLost?.(event.memberId)
      throw refuseEvent('NOT_KEPT', error)
    }
  }

  return {
    async take(request) {
      inHand += 1
      try {
        if (inHand > mostAtOnce) throw refuseEvent('NOT_KEPT')
        const { result, event } = await take(request)
        options.onTaken(result, now() - request.receivedAt, event)
      } catch (error) {
        const result = resultOf(error)
        options.onTaken(result, now() - request.receivedAt, undefined)
        options.onRefused?.(result, error instanceof BridgeError ? error.code : 'INTERNAL_ERROR')
        throw error instanceof StoreError ? refuseEvent('NOT_KEPT', error) : error
      } finally {
        inHand -= 1
      }
    },
  }
}

function resultOf(error: unknown): Taken {
  if (!(error instanceof BridgeError)) return 'lost'
  if (!(error instanceof CommandError) || error.status >= 500) return 'lost'
  if (error.status === 404) return 'unknown'
  return error.status === 403 ? 'refused' : 'invalid'
}
