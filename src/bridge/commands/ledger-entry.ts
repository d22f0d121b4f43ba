import { CommandError } from '../../model/errors.ts'
import type { Failure, Outcome } from '../../model/outcome.ts'
import { decodeKept, type KeptReply, type Ledger, LOOK, NOT_KEPT, REUSED } from './ledger.ts'

/** A write that was begun before and whose end nobody has seen. */
export interface Begun {
  /** When it may have left last, by the ledger's clock: milliseconds since 1970. */
  readonly since: number
  /** What to answer with when nothing can be found out. */
  readonly outcome: Outcome
}

/** What the ledger knows of a command; one of these. */
export interface Recalled {
  /** To be sent again. */
  readonly reply?: KeptReply
  /** To be answered with. */
  readonly outcome?: Outcome
  readonly begun?: Begun
}

/**
 * One write on its page of the ledger.
 *
 * | state | means |
 * | --- | --- |
 * | unseen | this process has written nothing; there may be no page |
 * | doubt | it was begun, here or elsewhere, and nobody has seen its end |
 * | ours | this process has begun it; others leave it alone for the quiet period, counted from the last claim |
 * | lost | it was ours for longer than that, and another process has taken it over |
 *
 * Whoever ends it first decides how it ended: all others answer with that.
 */
export class LedgerEntry {
  readonly key: string
  readonly hash: string
  readonly #ledger: Ledger
  #state: 'unseen' | 'doubt' | 'ours' | 'lost' = 'unseen'
  /** The moment under which it is begun, as the ledger has it. */
  #since = 0
  /** Time since the claim, on clocks of this machine. */
  #ageMs: () => number = () => Infinity
  #claiming: Promise<void> | undefined

  constructor(ledger: Ledger, key: string, hash: string) {
    this.#ledger = ledger
    this.key = key
    this.hash = hash
  }

  /** What the ledger knows already; `undefined` for a new command. */
  async recall(): Promise<Recalled | undefined> {
    const record = await this.#ledger.find(this.key)
    if (record === undefined) return undefined
    if (record.requestHash !== this.hash) {
      return { outcome: { kind: 'failed', status: 422, attempts: 0, failure: REUSED } }
    }
    const reply = decodeKept(record.reply)
    if (reply !== undefined) return { reply }
    const failure = record.state === 'done' ? NOT_KEPT : CUT_SHORT
    const outcome = { kind: 'unknown', status: 504, attempts: 1, failure } as const
    if (record.state === 'done') return { outcome }
    this.#state = 'doubt'
    this.#since = record.startedAt
    return { begun: { since: record.startedAt, outcome } }
  }

  /**
   * Milliseconds for which what the ledger told is still to be left alone, because another process may be at it: one that
   * has lost its connection to the broker and not the one to the portal. 0 when they are over, and where there is no other.
   */
  quietLeft({ begun }: Recalled): number {
    const { shared, quietMs, now } = this.#ledger
    if (begun === undefined || !shared) return 0
    return Math.min(quietMs, Math.max(0, begun.since + quietMs - now()))
  }

  /**
   * For `Work.beforeSend`: makes sure, each time before it leaves, that it is ours and freshly so. A claim that has aged
   * since (a portal that refused connections for minutes, a process that stood still) is renewed. Rejects with a
   * `CommandError` `BEGUN_ELSEWHERE` when somebody else was faster: it must not be sent.
   */
  readonly claim = (): Promise<void> | undefined => {
    if (this.#state === 'ours' && this.#ageMs() < Math.max(LEAST_FRESH_MS, this.#ledger.quietMs * FRESH))
      return undefined
    this.#claiming ??= this.#take().finally(() => {
      this.#claiming = undefined
    })
    return this.#claiming
  }

  async #take(): Promise<void> {
    const ageMs = this.#ledger.startStopwatch()
    const since = await this.#begin()
    if (since === undefined) {
      if (this.#state === 'ours') this.#state = 'lost'
      throw begunElsewhere()
    }
    this.#state = 'ours'
    this.#since = since
    this.#ageMs = ageMs
  }

  async #begin(): Promise<number | undefined> {
    if (this.#state === 'lost') return undefined
    if (this.#state === 'unseen') return this.#ledger.started(this.key, this.hash)
    return this.#ledger.again(this.key, this.#since)
  }

  /** It is handed back while in doubt: its page stays as it is. */
  leaveOpen(): void {
    if (this.#state === 'ours') this.#state = 'doubt'
  }

  /**
   * Writes how it ended; `ran: false` says that it surely was not carried out. Gives the reply that counts: this one, or
   * the one of another process that has ended it before. Rejects with `BEGUN_ELSEWHERE` while another one is at it.
   */
  async end(reply: KeptReply, ran: boolean): Promise<KeptReply> {
    if (this.#state === 'unseen') return reply
    if (this.#state === 'ours' && this.#ageMs() < this.#ledger.quietMs * SURE) {
      await (ran ? this.#ledger.done(this.key, this.hash, reply) : this.withdraw())
      return reply
    }
    if (this.#state !== 'lost') {
      if (ran && (await this.#ledger.conclude(this.key, this.#since, reply))) return reply
      if (!ran) await this.withdraw()
    }
    const known = await this.recall()
    if (known?.begun !== undefined) throw begunElsewhere()
    return known?.reply ?? reply
  }

  /** It was begun by us and surely did not run: if it comes again, it is new. */
  async withdraw(): Promise<void> {
    if (this.#state !== 'ours') return
    await this.#ledger.forget(this.key, this.#since)
    this.#state = 'unseen'
  }
}

/** Part of the quiet period for which a claim needs no renewal: what leaves then ends within the period. */
const FRESH = 1 / 8
const LEAST_FRESH_MS = 100
/** Part of the quiet period for which nobody else can have taken it over, whatever clocks and databases do. */
const SURE = 1 / 2

/** Another process has begun this write, and may be at it still. */
export function begunElsewhere(): CommandError {
  return new CommandError('BEGUN_ELSEWHERE', 'Another process has begun this command', {
    status: 503,
    hint: 'Ask again in a minute: the reply will be that of the other one.',
  })
}

/** It was begun, and nobody saw its end. */
const CUT_SHORT: Failure = {
  code: 'OUTCOME_UNKNOWN',
  description: 'The bridge stopped while this write was under way; it may have been carried out',
  retryable: false,
  hint: LOOK,
}
