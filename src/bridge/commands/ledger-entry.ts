import { CommandError } from '../../model/errors.ts'
import type { Failure, Outcome } from '../../model/outcome.ts'
import {
  decodeKept,
  type KeptReply,
  type Ledger,
  type LedgerRecord,
  LOOK,
  NOT_KEPT,
  REUSED,
} from './ledger.ts'

/** A write that was begun before and whose end nobody has seen. */
export interface Begun {
  /** When it may have left last, by the ledger's clock: milliseconds since 1970. */
  readonly since: number
  /** How often it was sent again since the first time. */
  readonly repeats: number
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
 * | failed | the page tells of an earlier command of the same id, which surely was not carried out: this one is new |
 * | foreign | the page is that of another command under the same id |
 * | doubt | it was begun, here or elsewhere, and nobody has seen its end |
 * | ours | this process has begun it; others leave it alone for the quiet period, counted from the last claim |
 * | lost | it was ours for longer than that, and another process has taken it over |
 *
 * Whoever ends it first decides how it ended: all others answer with that. What failed is kept as well, for a delivery
 * whose acknowledgement got lost; a command that comes later, under the same id, takes the page over.
 */
export class LedgerEntry {
  readonly key: string
  readonly hash: string
  readonly #ledger: Ledger
  readonly #cameBefore: (endedAt: number) => boolean
  #state: 'unseen' | 'failed' | 'foreign' | 'doubt' | 'ours' | 'lost' = 'unseen'
  /** The moment under which it is begun, as the ledger has it. */
  #since = 0
  /** Time since the claim, on clocks of this machine. */
  #ageMs: () => number = () => Infinity
  #claiming: Promise<void> | undefined

  /**
   * `cameBefore` says of the moment at which a command of the same id and content has failed, whether that may have been
   * this very one; without it, it was another.
   */
  constructor(
    ledger: Ledger,
    key: string,
    hash: string,
    cameBefore: (endedAt: number) => boolean = () => false,
  ) {
    this.#ledger = ledger
    this.key = key
    this.hash = hash
    this.#cameBefore = cameBefore
  }

  /** What the ledger knows already; `undefined` for a new command. */
  recall(): Promise<Recalled | undefined> {
    return this.#look(this.#cameBefore)
  }

  async #look(cameBefore: (endedAt: number) => boolean): Promise<Recalled | undefined> {
    const record = await this.#ledger.find(this.key)
    if (record === undefined) return undefined
    if (record.state === 'failed') return this.#failedBefore(record, cameBefore)
    if (record.requestHash !== this.hash) {
      this.#state = 'foreign'
      return { outcome: { kind: 'failed', status: 422, attempts: 0, failure: REUSED } }
    }
    const reply = decodeKept(record.reply)
    if (reply !== undefined) return { reply }
    const failure = record.state === 'done' ? NOT_KEPT : CUT_SHORT
    const outcome = { kind: 'unknown', status: 504, attempts: 1, failure } as const
    if (record.state === 'done') return { outcome }
    this.#state = 'doubt'
    this.#since = record.startedAt
    return { begun: { since: record.startedAt, repeats: record.repeats, outcome } }
  }

  #failedBefore(record: LedgerRecord, cameBefore: (endedAt: number) => boolean): Recalled | undefined {
    const { requestHash, startedAt, finishedAt = startedAt } = record
    const reply = decodeKept(record.reply)
    if (reply !== undefined && requestHash === this.hash && cameBefore(finishedAt)) return { reply }
    this.#state = 'failed'
    this.#since = startedAt
    return undefined
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
    if (this.#state === 'failed') return this.#ledger.anew(this.key, this.hash, this.#since)
    return this.#ledger.again(this.key, this.#since, this.#state === 'doubt')
  }

  /** It is in doubt: handed back, its page stays as it is; sent again, that counts as a repetition. */
  leaveOpen(): void {
    if (this.#state === 'ours') this.#state = 'doubt'
  }

  /**
   * Writes how it ended; `ran: false` says that it surely was not carried out. Gives the reply that counts: this one, or
   * the one of another process that has ended it before. Rejects with `BEGUN_ELSEWHERE` while another one is at it.
   */
  async end(reply: KeptReply, ran: boolean): Promise<KeptReply> {
    if (this.#state === 'foreign') return reply
    const isUnseen = this.#state === 'unseen' || this.#state === 'failed'
    if (isUnseen && ran) return reply
    if (isUnseen) await this.#takeUnlessBegun()
    if (this.#state === 'ours' && this.#ageMs() < this.#ledger.quietMs * SURE) {
      await this.#ledger.done(this.key, this.hash, reply, ran)
      return reply
    }
    const mayEnd = this.#state === 'ours' || (this.#state === 'doubt' && ran)
    if (mayEnd && (await this.#ledger.conclude(this.key, this.#since, reply, ran))) return reply
    const known = await this.#look(() => true)
    if (known?.begun !== undefined) throw begunElsewhere()
    return known?.reply ?? reply
  }

  async #takeUnlessBegun(): Promise<void> {
    try {
      await this.#take()
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
    }
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
