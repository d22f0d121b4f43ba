import type { CallSettled, LaneCall } from '../../../client/lane/work.ts'
import type { Priority } from '../../../model/call.ts'
import type { BridgeError } from '../../../model/errors.ts'
import { isJsonObject, type Json } from '../../../model/json.ts'
import { type OfflineRow, parseRow } from './row.ts'

/** What one round of a drain came to. */
export interface Round {
  /** Rows that were read and are now confirmed by the broker. */
  readonly events: number
  /** The portal has more: go on at once. */
  readonly more: boolean
  /** How old the oldest row of the round was, in milliseconds. */
  readonly lagMs: number
  /** What kept the round from its end; the next one begins with what is left. */
  readonly trouble?: BridgeError
}

/** Brings a queue to its end, round by round. It remembers what it holds between rounds; one round at a time. */
export interface Drain {
  /** Begins anew: what is known of the portal's side may be out of date. */
  look(): void
  /** One request, and the publishing of what it brought. Never rejects. */
  round(priority: Priority): Promise<Round>
  /** Clears what is confirmed, and reads nothing more. Never rejects. */
  finish(): Promise<void>
  /** Sets of rows that were read and still stand in the portal, or wait for the broker: another round brings them on. */
  readonly unsettled: number
}

/** What every way to drain needs. */
export interface DrainParts {
  readonly connector: string
  /** Rows that one read brings at most. */
  readonly limit: number
  /** Sends the calls in this order, as one request. Never rejects. */
  readonly submit: (calls: readonly LaneCall[], how: Travel) => Promise<readonly CallSettled[]>
  /** Publishes in this order; see `publishRows`. */
  readonly publish: (rows: readonly OfflineRow[]) => Promise<Published>
  readonly now: () => number
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** How the calls of a round travel. */
export interface Travel {
  readonly priority: Priority
  /** The last calls before the end: they go although everything stops, and not for long. */
  readonly last?: boolean
}

/** What became of rows that were to be published. */
export interface Published {
  readonly confirmed: readonly OfflineRow[]
  /** Those that no broker will ever take. */
  readonly refused: readonly { readonly row: OfflineRow; readonly error: BridgeError }[]
  /** Why the rest is not confirmed. */
  readonly trouble?: BridgeError
}

/** What a call that reads rows answered. */
export interface RowsAnswer {
  readonly processId: string
  readonly rows: readonly OfflineRow[]
  /** Of a list: how many there are on all pages. */
  readonly total: number
  /** Rows that make no sense, and so cannot even be cleared. */
  readonly unreadable: number
}

/** Reads the answer to `event.offline.get` or `event.offline.list`; `undefined` when there is none. */
export function rowsOf({ answer, error }: CallSettled): RowsAnswer | undefined {
  if (error !== undefined || answer === undefined) return undefined
  const { result, total } = answer.body
  const process = isJsonObject(result) ? result.process_id : undefined
  const processId = typeof process === 'string' ? process : ''
  const list = listIn(result)
  const rows: OfflineRow[] = []
  for (const value of list) {
    const row = parseRow(value)
    if (row !== undefined) rows.push(row.processId === '' ? { ...row, processId } : row)
  }
  return {
    processId,
    rows,
    total: typeof total === 'number' ? total : list.length,
    unreadable: list.length - rows.length,
  }
}

function listIn(result: Json | undefined): readonly Json[] {
  const list = isJsonObject(result) && result.events !== undefined ? result.events : result
  if (Array.isArray(list)) return list
  // PHP writes a list with gaps as an object.
  return isJsonObject(list) && !('process_id' in list) ? Object.values(list) : []
}

/** The first error of a round that is not about one call alone. */
export function troubleIn(settled: readonly CallSettled[]): BridgeError | undefined {
  return settled.find(({ error }) => error !== undefined)?.error
}
