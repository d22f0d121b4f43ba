import { messageId, type OfflineEvent, type OfflineRow } from './offline-row.ts'

/** What became of the rows of a queue. */
export interface OfflineCounts {
  /** Rows made. */
  queued: number
  /** Repeats that a free row took in. */
  merged: number
  /** Rows removed on an application's order after they had stood in an answer. */
  cleared: number
  /** Rows that an application made disappear without any answer having shown them, or whose answer never arrived. */
  lost: number
  /** Rows that grew too old, and those that went with the application. */
  aged: number
  uninstalled: number
}

/** What a queue is given by its portal. */
export interface QueueHabits {
  readonly now: () => number
  readonly nextId: () => number
  /** `all`: old rows vanish whether anybody reserved them or not. */
  readonly ageing: 'all' | 'reserved'
  /** Counted on when the application is gone. */
  readonly counts: OfflineCounts
}

/** Which rows, and how many of them. */
export interface OfflineSelection {
  readonly connector: string
  /** Rows that this process holds; empty for free ones. */
  readonly processId: string
  readonly failed: boolean
  readonly test: (row: OfflineRow) => boolean
  /** Without it the least recently seen comes first. */
  readonly order?: ((a: OfflineRow, b: OfflineRow) => number) | undefined
  readonly limit: number
}

/** Seconds that a row is kept, as the portal has it: 34 days and some hours. */
const KEPT_MS = 2_952_000_000

/**
 * The offline events of one application, for all its connectors.
 *
 * | state of a row | process id | failed | repeat of its event |
 * | --- | --- | --- | --- |
 * | free | empty | no | goes into the row, which keeps its id |
 * | reserved | of the reader | as it was | makes a new free row |
 * | failed | empty | yes | goes into the row, and stays hidden with it |
 *
 * https://apidocs.bitrix24.com/api-reference/events/offline-events.html
 */
export class OfflineQueue {
  readonly #habits: QueueHabits
  /** The least recently seen first. */
  readonly #rows = new Map<number, OfflineRow>()
  /** Rows without a process, by connector and message id. */
  readonly #free = new Map<string, OfflineRow>()

  constructor(habits: QueueHabits) {
    this.#habits = habits
  }

  get counts(): OfflineCounts {
    return this.#habits.counts
  }

  /** True when it made a new row, false when a free one took it in. */
  add({ event, data, connector, additional }: OfflineEvent): boolean {
    this.#dropAged()
    const timestampMs = this.#habits.now()
    const message = messageId(event, data)
    const known = this.#free.get(keyOf(connector, message))
    if (known !== undefined) {
      Object.assign(known, { timestampMs, data, additional, shown: false })
      this.#rows.delete(known.id)
      this.#rows.set(known.id, known)
      this.counts.merged += 1
      return false
    }
    const states = { processId: '', failed: false, shown: false }
    const id = this.#habits.nextId()
    const row: OfflineRow = {
      id,
      event,
      connector,
      messageId: message,
      timestampMs,
      data,
      additional,
      ...states,
    }
    this.#rows.set(id, row)
    this.#free.set(keyOf(connector, message), row)
    this.counts.queued += 1
    return true
  }

  select({ connector, processId, failed, test, order, limit }: OfflineSelection): OfflineRow[] {
    this.#dropAged()
    const found: OfflineRow[] = []
    for (const row of this.#rows.values()) {
      if (row.connector !== connector || row.processId !== processId || row.failed !== failed) continue
      if (!test(row)) continue
      found.push(row)
      if (order === undefined && found.length === limit) break
    }
    return order === undefined ? found : found.sort(order).slice(0, limit)
  }

  /** All rows of a connector. */
  list(connector: string, test: (row: OfflineRow) => boolean): OfflineRow[] {
    this.#dropAged()
    return [...this.#rows.values()].filter((row) => row.connector === connector && test(row))
  }

  reserve(rows: readonly OfflineRow[], processId: string): void {
    for (const row of rows) {
      this.#free.delete(keyOf(row.connector, row.messageId))
      row.processId = processId
    }
  }

  /** Removes the rows of a process that `picked` accepts; an empty process id means the free ones, failed ones too. */
  clear(
    processId: string,
    connector: string,
    picked: (row: OfflineRow) => boolean = () => true,
  ): OfflineRow[] {
    const cleared = this.list(connector, (row) => row.processId === processId && picked(row))
    for (const row of cleared) {
      this.#remove(row)
      this.counts[row.shown ? 'cleared' : 'lost'] += 1
    }
    return cleared
  }

  /** Hides messages of a process: its rows are failed and free; the same messages elsewhere disappear. */
  fail(processId: string, connector: string, messageIds: ReadonlySet<string>): void {
    const same = this.list(connector, (row) => messageIds.has(row.messageId))
    for (const row of same) {
      if (row.processId === processId || row.failed) continue
      this.#remove(row)
      this.counts[row.shown ? 'cleared' : 'lost'] += 1
    }
    for (const row of same.filter((each) => each.processId === processId)) {
      row.failed = true
      row.processId = ''
      this.#free.set(keyOf(connector, row.messageId), row)
    }
  }

  /** Notes that rows stand in an answer, and gives those that stood in none before. */
  show(rows: readonly OfflineRow[]): OfflineRow[] {
    const first = rows.filter((row) => !row.shown)
    for (const row of first) row.shown = true
    return first
  }

  /** The answer that showed these rows first never arrived; those cleared by the same request are lost. */
  unshow(first: readonly OfflineRow[], cleared: readonly OfflineRow[]): void {
    for (const row of first) row.shown = false
    const gone = new Set(cleared)
    const lost = first.filter((row) => gone.has(row)).length
    this.counts.cleared -= lost
    this.counts.lost += lost
  }

  /** Forgets everything: the application leaves the portal. */
  drop(): void {
    this.counts.uninstalled += this.#rows.size
    this.#rows.clear()
    this.#free.clear()
  }

  #dropAged(): void {
    const oldest = this.#habits.now() - KEPT_MS
    for (const row of this.#rows.values()) {
      if (row.timestampMs >= oldest) break
      if (this.#habits.ageing === 'reserved' && row.processId === '') continue
      this.#remove(row)
      this.counts.aged += 1
    }
  }

  #remove(row: OfflineRow): void {
    this.#rows.delete(row.id)
    const key = keyOf(row.connector, row.messageId)
    if (this.#free.get(key) === row) this.#free.delete(key)
  }
}

function keyOf(connector: string, message: string): string {
  return `${message} ${connector}`
}
