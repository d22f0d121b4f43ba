import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Address, Message } from '../broker.ts'
import { nacked, unroutable } from '../errors.ts'
import {
  deleteLeased,
  type EmbeddedDatabase,
  insertMessages,
  leaseMessages,
  passTime,
  Router,
  renewLeases,
  returnLeased,
  rowsFor,
} from './queries.ts'
import type { MessageRow } from './tables.ts'

interface Publication {
  readonly address: Address
  readonly message: Message
  resolve(): void
  reject(error: Error): void
}

interface Return {
  readonly id: number
  readonly visibleAt: number
}

/** Somebody who takes messages of one queue, up to `room` more of them now. */
export interface Taker {
  readonly queue: string
  readonly room: number
  take(row: MessageRow): void
}

export interface CounterOptions {
  readonly db: EmbeddedDatabase
  readonly owner: string
  readonly leaseMs: number
  readonly now: () => number
  readonly logger: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

const MOST_PUBLICATIONS_A_TURN = 1000
const PAUSE_AFTER_FAILURE_MS = 500

/**
 * Where publications, acknowledgements and hand-outs meet. What a turn of the event loop brings is written in one
 * transaction, and only when that is committed are publications resolved and messages handed out.
 *
 * When the database fails, publications of that turn are rejected, acknowledgements are kept and tried again.
 */
export class Counter {
  readonly #options: CounterOptions
  #publications: Publication[] = []
  #acks: number[] = []
  #returns: Return[] = []
  #takers: Taker[] = []
  /** Queues that had nothing more when last looked at. */
  readonly #dry = new Set<string>()
  #timeIsDue = false
  #renewAt = 0
  #turn: Promise<void> | undefined
  #closed = false
  #pause: NodeJS.Timeout | undefined
  /** Why the last transaction failed, or `undefined` when it did not. */
  reason: string | undefined

  constructor(options: CounterOptions) {
    this.#options = options
    this.#renewAt = options.now() + options.leaseMs / 3
  }

  get unconfirmed(): number {
    return this.#publications.length
  }

  publish(address: Address, message: Message): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#publications.push({ address, message, resolve, reject })
      this.#schedule()
    })
  }

  ack(id: number): void {
    this.#acks.push(id)
    this.#schedule()
  }

  giveBack(id: number, delayMs: number): void {
    this.#returns.push({ id, visibleAt: this.#options.now() + delayMs })
    this.#schedule()
  }

  addTaker(taker: Taker): void {
    this.#takers.push(taker)
    this.#dry.delete(taker.queue)
    this.#schedule()
  }

  removeTaker(taker: Taker): void {
    this.#takers = this.#takers.filter((other) => other !== taker)
  }

  /** Looks at everything again: delays, leases, and what other processes have written. */
  lookAround(): void {
    this.#timeIsDue = true
    this.#dry.clear()
    this.#schedule()
  }

  /** Resolves when everything handed in so far has been written, or the database has failed. */
  async flush(): Promise<void> {
    while (this.#turn !== undefined || this.#hasWork()) {
      if (this.#pause !== undefined || this.#closed) return
      this.#schedule()
      await this.#turn
    }
  }

  /** Ends it; call `flush` before. What is handed in later is not written: the leases are given back anyway. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#pause)
    this.#takers = []
  }

  #hasWork(): boolean {
    const gathered = this.#publications.length + this.#acks.length + this.#returns.length
    return gathered > 0 || this.#timeIsDue || this.#takers.some((taker) => this.#wants(taker))
  }

  #wants(taker: Taker): boolean {
    return taker.room > 0 && !this.#dry.has(taker.queue)
  }

  #schedule(): void {
    if (this.#turn !== undefined || this.#pause !== undefined || this.#closed) return
    this.#turn = nextTurn()
      .then(() => this.#work())
      .finally(() => {
        this.#turn = undefined
        if (this.#hasWork()) this.#schedule()
      })
  }

  async #work(): Promise<void> {
    const publications = this.#publications.splice(0, MOST_PUBLICATIONS_A_TURN)
    const acks = this.#acks
    const returns = this.#returns
    const timeIsDue = this.#timeIsDue
    this.#acks = []
    this.#returns = []
    this.#timeIsDue = false
    try {
      const { refusals, handOuts } = await this.#options.db.transaction().execute(async (db) => {
        if (timeIsDue) await this.#passTime(db)
        if (acks.length > 0) await deleteLeased(db, this.#options.owner, acks)
        await this.#writeReturns(db, returns)
        const refusals = await this.#writePublications(db, publications)
        return { refusals, handOuts: await this.#leaseFor(db) }
      })
      this.reason = undefined
      for (const publication of publications) {
        const refusal = refusals.get(publication)
        if (refusal === undefined) publication.resolve()
        else publication.reject(refusal)
      }
      for (const { taker, row } of handOuts) taker.take(row)
    } catch (error) {
      this.#failed(error, publications)
      this.#acks = [...acks, ...this.#acks]
      this.#returns = [...returns, ...this.#returns]
    }
  }

  #failed(error: unknown, publications: readonly Publication[]): void {
    this.reason = error instanceof Error ? error.message : String(error)
    this.#options.logger('broker.write_failed', { reason: this.reason })
    for (const publication of publications) {
      publication.reject(nacked(publication.address, `the database failed: ${this.reason}`, error))
    }
    this.#dry.clear()
    if (this.#closed) return
    this.#pause = setTimeout(() => {
      this.#pause = undefined
      this.#schedule()
    }, PAUSE_AFTER_FAILURE_MS)
  }

  async #passTime(db: EmbeddedDatabase): Promise<void> {
    const { owner, leaseMs, now } = this.#options
    await passTime(db, owner, now())
    if (now() < this.#renewAt) return
    this.#renewAt = now() + leaseMs / 3
    await renewLeases(db, owner, now() + leaseMs)
  }

  async #writeReturns(db: EmbeddedDatabase, returns: readonly Return[]): Promise<void> {
    if (returns.length === 0) return
    const { owner, now } = this.#options
    const writtenAt = now()
    const byTime = new Map<number, number[]>()
    for (const { id, visibleAt } of returns) {
      const time = Math.max(visibleAt, writtenAt)
      const ids = byTime.get(time)
      if (ids === undefined) byTime.set(time, [id])
      else ids.push(id)
    }
    for (const [visibleAt, ids] of byTime) await returnLeased(db, owner, ids, visibleAt, writtenAt)
    this.#dry.clear()
  }

  async #writePublications(
    db: EmbeddedDatabase,
    publications: readonly Publication[],
  ): Promise<Map<Publication, Error>> {
    const refusals = new Map<Publication, Error>()
    if (publications.length === 0) return refusals
    const router = new Router(db)
    const rows: MessageRow[] = []
    for (const publication of publications) {
      const { address, message } = publication
      const queues = await router.queuesFor(address)
      if (queues instanceof Error) refusals.set(publication, queues)
      else if (queues.length === 0) refusals.set(publication, unroutable(address, 'NO_ROUTE'))
      else for (const row of rowsFor(message, address, queues, this.#options.now())) rows.push(row)
    }
    await insertMessages(db, rows)
    for (const { queue } of rows) this.#dry.delete(queue)
    return refusals
  }

  async #leaseFor(db: EmbeddedDatabase): Promise<{ readonly taker: Taker; readonly row: MessageRow }[]> {
    const { owner, leaseMs, now } = this.#options
    const handOuts = []
    for (const taker of this.#takers) {
      if (!this.#wants(taker)) continue
      const { queue, room: most } = taker
      const rows = await leaseMessages(db, { queue, most, owner, until: now() + leaseMs, now: now() })
      if (rows.length < most) this.#dry.add(queue)
      for (const row of rows) handOuts.push({ taker, row })
    }
    return handOuts
  }
}
