import type { Json } from '../../model/json.ts'
import { parseQuery, phpToJson } from '../php.ts'
import { withoutQuery } from './slow-handlers.ts'

/** One request to a handler as the log shows it. */
export interface EventRecord {
  readonly event: string
  /** Without its query. */
  readonly url: string
  /** The portal it comes from, where the sender knew. */
  readonly memberId?: string
  /** `waiting` until it has ended; `lost`: no answer came. */
  readonly outcome: 'waiting' | 'delivered' | 'refused' | 'lost'
  readonly status?: number
  readonly error?: string
  /** By the sandbox's clock: when it was raised, and when it was sent. */
  readonly raisedAtMs: number
  readonly sentAtMs?: number
  /** Measured. */
  readonly tookMs?: number
  /** What was posted; tokens and secrets are masked. */
  readonly form: Json
}

/** An entry while it is being written. */
export interface OpenRecord {
  readonly event: string
  readonly url: string
  readonly memberId: string | undefined
  readonly raisedAtMs: number
  readonly form: string
  outcome: EventRecord['outcome']
  status?: number
  error?: string
  sentAtMs?: number
  tookMs?: number
}

const KEPT = 10_000

/** The latest requests to handlers, of all portals; older ones are forgotten. */
export class DeliveryLog {
  readonly #records: OpenRecord[] = []
  #next = 0

  add(record: OpenRecord): void {
    this.#records[this.#next % KEPT] = record
    this.#next += 1
  }

  /** Oldest first; those of one portal include what belongs to none. */
  list(memberId?: string): EventRecord[] {
    const start = Math.max(0, this.#next - KEPT)
    const records = Array.from({ length: this.#next - start }, (_, i) => this.#records[(start + i) % KEPT]!)
    return records
      .filter((record) => memberId === undefined || (record.memberId ?? memberId) === memberId)
      .map(shown)
  }
}

function shown({ memberId, url, form, ...record }: OpenRecord): EventRecord {
  return {
    ...record,
    ...(memberId === undefined ? {} : { memberId }),
    url: withoutQuery(url),
    form: masked(phpToJson(parseQuery(form))),
  }
}

const SECRET = /token|secret|^(?:auth|refresh)_id$/i

function masked(value: Json, name = ''): Json {
  if (typeof value === 'string') return SECRET.test(name) ? '***' : value
  if (Array.isArray(value)) return value.map((item: Json) => masked(item, name))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, masked(item as Json, key)]))
}
