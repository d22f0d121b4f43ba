import { setTimeout as sleep } from 'node:timers/promises'
import type { Address, Broker, Delivery, Message } from '../../brokers/broker.ts'
import type { Command } from '../../model/command.ts'
import { BrokerError, CommandError, StoreError } from '../../model/errors.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { Turns } from '../../util/turns.ts'
import type { Contract } from '../contracts/contract.ts'
import type { Portal, Portals } from '../portals.ts'
import { type Aside, ageOf, identityOf, originalMessage } from './aside.ts'
import { type ExecuteSettings, execute } from './execute.ts'
import type { Held } from './held.ts'
import { type KeptReply, type Ledger, requestHash } from './ledger.ts'
import { LedgerEntry, type Recalled } from './ledger-entry.ts'
import { keepDead, publishReply } from './reply.ts'
import { reportOf, type SettledReport } from './report.ts'
import { isReadCommand, type RunOptions, rejected, tooLargeToReply } from './run.ts'
import { isOurTrouble, mayHaveRun, settlement } from './settle.ts'
import type { Suspects } from './suspects.ts'

/** How the commands of a queue are handled. */
export interface ConsumeSettings {
  readonly broker: Broker
  readonly queue: string
  /** The queue that commands came to first, where this one only holds a part of them; the ledger goes by its name. */
  readonly originQueue?: string
  readonly prefetch: number
  readonly contract: Contract
  readonly portals: Portals
  /** Remembers writes with a message id; without it a redelivered write runs again. */
  readonly ledger?: Ledger
  readonly replyAddress: (message: Message) => Address
  /** Queue for copies of what cannot end well. */
  readonly deadQueue: string
  /** Seals secret headers of what goes there. */
  readonly seal?: (id: string, text: string) => string
  /** A command whose end nobody knows goes there too. */
  readonly keepUnknown?: boolean
  /** Commands that go there too when they fail; see `namesMethod`. */
  readonly keepFailed?: (command: Command) => boolean
  /** Run one command after another, in order of arrival. */
  readonly strictOrder?: boolean
  /** What this process does one at a time, whichever of its queues it came by. */
  readonly turns: Turns
  /** The broker hands this queue to one consumer at a time: what is given back keeps its place. */
  readonly inOrder?: boolean
  readonly run?: Pick<RunOptions, 'countLists' | 'maxListBytes'>
  /** How long a write in doubt is left alone before it is looked up; 75 seconds unless set. */
  readonly quietMs?: number
  /** Where commands go that cannot be carried out now; without it they are held here. */
  readonly aside?: Aside
  /** Looks at messages that processes may have died of. */
  readonly suspects?: Suspects
  /** A reply with a larger body is replaced by an error; no bound unless set. */
  readonly maxReplyBytes?: number
  readonly now: () => number
  readonly newId: () => string
  readonly onSettled: (report: SettledReport) => void
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** How a command was settled, but for the time that it took. */
export type Report = Omit<SettledReport, 'ms'>

/** A delivery that was taken, and what it asks. */
export interface Taken {
  readonly delivery: Delivery
  readonly takenAt: number
  /** Absent when it could not be parsed. */
  readonly command: Command | undefined
  /** Why it could not. */
  readonly outcome?: Outcome
  /** Its time was over while it stood in its queue. */
  readonly isExpired: boolean
}

/** What is known of the deliveries in hand, and how one is given up. */
export interface Hand {
  /** Aborts when what has not been sent is to be given up. */
  signal(): AbortSignal
  /** Another publication of the same message ended at that moment; this delivery was there before. */
  cameBefore(delivery: Delivery, endedAt: number): boolean
  /** Counts the delivery among those of its portal. */
  count(delivery: Delivery, domain: string): Held
  back(delivery: Delivery): void
  /** A moment, or until everything is given up. */
  pause(): Promise<void>
}

/** Names the page of the ledger where the reply is to be kept as well. */
export const KEEP_REPLY_HEADER = 'x-b24-keep-reply'
/** The cloud cuts a request at 60 s. https://apidocs.bitrix24.com/limits.html */
const QUIET_MS = 75_000
/** So long a command is held while the store is away; then it is handed back, well before the broker takes it back. */
export const MOST_HELD_MS = 300_000

/** One delivery at a time from what it says to its reply: parse, carry out, remember, reply, acknowledge. */
export class CommandHandler {
  readonly #settings: ConsumeSettings
  readonly #hand: Hand

  constructor(settings: ConsumeSettings, hand: Hand) {
    this.#settings = settings
    this.#hand = hand
  }

  /** What processes have died of is tried alone, and is kept for people when they die of it again. */
  async handle(job: Taken): Promise<Report | undefined> {
    const { suspects } = this.#settings
    const { delivery, isExpired } = job
    if (isExpired) return this.#process(job)
    const verdict = await suspects?.look(delivery)
    if (verdict === 'moved') return undefined
    if (verdict !== undefined && verdict !== 'fine') {
      const known = { entry: undefined, portal: undefined, replayed: false }
      return this.#settle(delivery, undefined, verdict, known)
    }
    return this.#process(job).finally(() => suspects?.survived(delivery))
  }

  read(delivery: Delivery, takenAt: number, isExpired: boolean): Taken {
    const { contract, strictOrder = false } = this.#settings
    const taken = { delivery, takenAt, isExpired }
    try {
      const command = contract.parse(originalMessage(delivery.message))
      return { ...taken, command: strictOrder ? { ...command, orderKey: 'strict' } : command }
    } catch (error) {
      return { ...taken, command: undefined, outcome: rejected(error) }
    }
  }

  async #process({ delivery, takenAt, command, outcome, isExpired }: Taken): Promise<Report | undefined> {
    const ageMs = ageOf(delivery.message, takenAt) + this.#settings.now() - takenAt
    const due = command === undefined ? undefined : aged(command, ageMs)
    const entry = due === undefined ? undefined : this.#entryFor(delivery, due)
    const carryOut = () =>
      isExpired && due !== undefined
        ? this.#answerLate(delivery, due, entry)
        : this.#carryOut(delivery, due, outcome, entry)
    // A write that was published twice: the second waits, and finds the first one in the ledger.
    return entry === undefined ? carryOut() : this.#settings.turns.take(`write ${entry.key}`, carryOut)
  }

  async #carryOut(
    delivery: Delivery,
    command: Command | undefined,
    failed: Outcome | undefined,
    entry: LedgerEntry | undefined,
  ): Promise<Report | undefined> {
    const aside = command === undefined ? {} : this.#asideFor(delivery, command)
    const replayed = await this.#recall(entry, aside.park)
    if (replayed === 'aside') return undefined
    if (replayed?.reply !== undefined) return this.#replay(delivery, command, replayed.reply)
    const known = failed ?? replayed?.outcome
    if (command === undefined || known !== undefined) {
      return this.#settle(delivery, command, known as Outcome, {
        entry,
        portal: undefined,
        replayed: replayed !== undefined,
      })
    }
    const begun = replayed?.begun
    const { outcome, portal } = await execute(
      command,
      { messageId: delivery.message.messageId, entry, begun },
      {
        ...this.#settings,
        ...this.#settings.run,
        now: this.#settings.ledger?.now ?? this.#settings.now,
        source: this.#queueOf(delivery),
        quietMs: this.#settings.quietMs ?? QUIET_MS,
        signal: this.#hand.signal(),
        ...aside,
      },
    )
    if (outcome === 'aside') return undefined
    return this.#settle(delivery, command, outcome, { entry, portal, replayed: outcome === begun?.outcome })
  }

  async #replay(delivery: Delivery, command: Command | undefined, reply: KeptReply): Promise<Report> {
    // Where the asker is now, not where it was: it may have been restarted with a new reply queue.
    const again = { ...reply, address: this.#addressFor(delivery.message, command) }
    await this.#keepForAsker(originalMessage(delivery.message), again)
    if (command?.reply !== false) await publishReply(this.#settings, delivery, again, () => again)
    delivery.ack()
    return this.#report(delivery, command, { kind: 'done', status: 200, attempts: 0 }, undefined, true)
  }

  /**
   * A command that expired in its queue. It may have been handed out before, and the broker does not say so: what was begun
   * is answered from the ledger, and what has no page there and may have changed something as `unknown`.
   */
  async #answerLate(
    delivery: Delivery,
    command: Command,
    entry: LedgerEntry | undefined,
  ): Promise<Report | undefined> {
    const replayed = await this.#recall(entry, undefined)
    if (replayed === 'aside') return undefined
    if (replayed?.reply !== undefined) return this.#replay(delivery, command, replayed.reply)
    const known = replayed?.outcome ?? replayed?.begun?.outcome
    const outcome = known ?? expired(entry !== undefined || isReadCommand(command))
    // Whoever holds an older delivery of it still finds this end in the ledger.
    return this.#settle(delivery, command, outcome, {
      entry,
      portal: undefined,
      replayed: replayed !== undefined,
    })
  }

  /** What the ledger knows of the command, once the quiet period of one that was begun elsewhere is over. */
  async #recall(
    entry: LedgerEntry | undefined,
    park: ExecuteSettings['park'],
  ): Promise<Recalled | 'aside' | undefined> {
    for (;;) {
      const known = await entry?.recall()
      const waitMs = known === undefined ? 0 : (entry?.quietLeft(known) ?? 0)
      if (waitMs === 0) return known
      if ((await park?.(waitMs)) === true) return 'aside'
      await sleep(waitMs, undefined, { signal: this.#hand.signal() }).catch(() => {
        throw new BrokerError('BROKER_CLOSED', 'Handed back before its end was known')
      })
    }
  }

  /** Where the reply of this command goes. */
  #addressFor(message: Message, command: Command | undefined): Address {
    return command?.reply || this.#settings.replyAddress(message)
  }

  async #settle(
    delivery: Delivery,
    command: Command | undefined,
    outcome: Outcome,
    known: {
      readonly entry: LedgerEntry | undefined
      readonly portal: Portal | undefined
      readonly replayed: boolean
    },
  ): Promise<Report> {
    const { contract, now, newId } = this.#settings
    const message = originalMessage(delivery.message)
    const { entry, portal } = known
    const { keepUnknown = false, keepFailed } = this.#settings
    const decided = settlement(outcome, command !== undefined, {
      keepUnknown,
      keepFailed: command !== undefined && keepFailed?.(command) === true,
    })
    if (decided === 'requeue') {
      await entry?.withdraw()
      const { code = '', description = '' } = outcome.failure ?? {}
      if (isOurTrouble(outcome)) throw new StoreError(code, description)
      this.#hand.back(delivery)
      return { ...this.#report(delivery, command, outcome, portal, false), outcome: 'requeued' }
    }
    const context = { now: now(), newId: newId(), ...(portal === undefined ? {} : { portal: portal.domain }) }
    const encode = (end: Outcome): KeptReply => ({
      address: this.#addressFor(message, command),
      message: contract.reply(message, command, end, context),
    })
    const smaller = (): KeptReply => encode(tooLargeToReply(command, outcome))
    const whole = encode(outcome)
    const ours = whole.message.body.length > (this.#settings.maxReplyBytes ?? Infinity) ? smaller() : whole
    const reply = entry === undefined ? ours : await this.#remember(delivery, entry, outcome, ours)
    await this.#keepForAsker(message, reply)
    if (decided === 'reply-and-keep') {
      await keepDead(this.#settings, delivery, {
        failure: outcome.failure,
        contract: contract.name,
        portal: portal?.domain ?? command?.portal,
        method: command?.method,
        attempts: outcome.attempts,
        unsure: mayHaveRun(outcome),
      })
    }
    if (command?.reply !== false) await publishReply(this.#settings, delivery, reply, smaller)
    delivery.ack()
    return this.#report(delivery, command, outcome, portal, known.replayed)
  }

  /**
   * Keeps how it ended, and gives the reply that counts: that of another process, where one has ended it before. A store
   * that stumbles now must not turn what is known into "unknown" later.
   */
  async #remember(
    delivery: Delivery,
    entry: LedgerEntry,
    outcome: Outcome,
    reply: KeptReply,
  ): Promise<KeptReply> {
    const { now } = this.#settings
    const heldAt = now()
    for (;;) {
      try {
        const counts = await entry.end(reply, mayHaveRun(outcome))
        if (counts !== reply)
          this.#settings.log('command.overtaken', { ...idsOf(delivery), outcome: outcome.kind })
        return counts
      } catch (error) {
        const isOver = this.#hand.signal().aborted || now() - heldAt > MOST_HELD_MS
        if (!(error instanceof StoreError) || isOver) throw error
        await this.#hand.pause()
      }
    }
  }

  /** A caller that asked over HTTP without waiting looks its reply up in the ledger. */
  async #keepForAsker(message: Message, reply: KeptReply): Promise<void> {
    const key = message.headers[KEEP_REPLY_HEADER]
    if (typeof key === 'string') await this.#settings.ledger?.done(key, requestHash(message), reply, true)
  }

  /** The ledger's page for this command; only writes with a message id have one. */
  #entryFor(delivery: Delivery, command: Command): LedgerEntry | undefined {
    const { ledger, contract } = this.#settings
    const message = originalMessage(delivery.message)
    const identity = identityOf(delivery.message)
    if (ledger === undefined || identity === undefined || isReadCommand(command)) return undefined
    return new LedgerEntry(
      ledger,
      `${contract.name} ${this.#queueOf(delivery)} ${identity}`,
      requestHash(message),
      (endedAt) => this.#hand.cameBefore(delivery, endedAt),
    )
  }

  #queueOf(delivery: Delivery): string {
    return this.#settings.originQueue ?? delivery.queue
  }

  /** How this command may be put aside, its portal's commands in hand being counted. */
  #asideFor(delivery: Delivery, command: Command): Pick<ExecuteSettings, 'admit' | 'park'> {
    const { aside } = this.#settings
    if (aside === undefined) return {}
    const { orderKey, deadlineMs } = command
    const ordered = orderKey !== undefined && this.#settings.strictOrder !== true
    return {
      admit: (portal) => {
        const held = this.#hand.count(delivery, portal.domain)
        return aside.admit(delivery, { portal, ordered, deadlineMs, ...held })
      },
      // What has a place in an order waits for its time in it.
      ...(orderKey === undefined ? { park: (waitMs: number) => aside.park(delivery, waitMs) } : {}),
    }
  }

  #report(
    delivery: Delivery,
    command: Command | undefined,
    outcome: Outcome,
    portal: Portal | undefined,
    replayed: boolean,
  ): Report {
    return reportOf(delivery, outcome, {
      queue: this.#queueOf(delivery),
      contract: this.#settings.contract.name,
      command,
      portal: portal?.domain,
      replayed,
    })
  }
}

/** For log lines. */
export function idsOf({ queue, message }: Delivery): {
  readonly queue: string
  readonly messageId: string | undefined
} {
  return { queue, messageId: message.messageId }
}

/** `failed` where the command surely did not run. */
function expired(surelyUnsent: boolean): Outcome {
  const late = new CommandError(
    'DEADLINE_EXCEEDED',
    'The deadline passed while the command stood in its queue',
    {
      status: 504,
      hint: surelyUnsent
        ? 'It was not carried out. Allow more time, and send it again.'
        : 'It has no message id, so nobody can tell whether it was begun before: look in Bitrix24.',
    },
  )
  const outcome = rejected(late)
  return surelyUnsent ? outcome : { ...outcome, kind: 'unknown' }
}

/** A deadline counts from the first arrival, whichever queues the message has been on since. */
function aged(command: Command, ageMs: number): Command {
  const { deadlineMs } = command
  return deadlineMs === undefined || ageMs === 0
    ? command
    : { ...command, deadlineMs: Math.max(1, deadlineMs - ageMs) }
}
