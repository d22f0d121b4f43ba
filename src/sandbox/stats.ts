import type { Json } from '../model/json.ts'
import type { OfflineCounts } from './apps/offline-queue.ts'
import type { DeliveryCounts } from './apps/sender.ts'
import type { OauthStats } from './oauth/tally.ts'
import type { Row } from './table.ts'

/** One write that was carried out. */
export interface WriteRecord {
  readonly method: string
  readonly id: number
  readonly originId: Json
  readonly xmlId: Json
  readonly title: Json
}

/** What a portal has seen since it was made. */
export interface SandboxStats {
  /** HTTP requests for REST methods, refused ones included. */
  readonly requests: number
  /** Requests, and commands in batches, that were refused before they ran, by error code. */
  readonly refused: Readonly<Record<string, number>>
  /** Calls that ran and answered with an error of the method. */
  readonly failed: number
  /** Level of the fullest request counter now, and the highest level that any of them had. */
  readonly level: number
  readonly peakLevel: number
  /** Calls carried out by method; a batch counts beside its commands. */
  readonly commands: Readonly<Record<string, number>>
  /** Writes carried out. */
  readonly writes: number
  /** Faults that have acted, by kind; for all portals of the sandbox together. */
  readonly faults: Readonly<Record<string, number>>
  /** Codes and tokens of this portal. */
  readonly oauth: OauthStats
  /** Requests to event handlers, by event. */
  readonly events: Readonly<Record<string, DeliveryCounts>>
  /** Addresses that answered slowly the last time, and how many requests were held back for it; for all portals. */
  readonly slowHandlers: Readonly<Record<string, number>>
  /** Rows of the offline queues. */
  readonly offline: OfflineCounts
  /** Every write, oldest first; only when asked for. */
  readonly log?: readonly WriteRecord[]
}

/** Counts what a portal does. */
export class Tally {
  requests = 0
  failed = 0
  readonly refused: Record<string, number> = {}
  readonly commands = new Map<string, number>()
  readonly events: Record<string, DeliveryCounts> = {}
  readonly log: WriteRecord[] = []

  refuse(code: string): void {
    this.refused[code] = (this.refused[code] ?? 0) + 1
  }

  ran(method: string): void {
    this.commands.set(method, (this.commands.get(method) ?? 0) + 1)
  }

  wrote(method: string, id: number, row: Row): void {
    const title = row.TITLE ?? row.NAME ?? null
    this.log.push({ method, id, originId: row.ORIGIN_ID ?? null, xmlId: row.XML_ID ?? null, title })
  }
}
