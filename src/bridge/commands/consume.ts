import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Address, Broker, Consumer, Delivery, Message } from '../../brokers/broker.ts'
import type { Command } from '../../model/command.ts'
import { BridgeError, BrokerError, StoreError } from '../../model/errors.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { Turns } from '../../util/turns.ts'
import type { Contract } from '../contracts/contract.ts'
import type { Portal, Portals } from '../portals.ts'
import { type Aside, ageOf, identityOf, originalMessage } from './aside.ts'
import { type ExecuteSettings, execute } from './execute.ts'
import { HeldByPortal } from './held.ts'
import { createInHand, type InHand } from './in-hand.ts'
import { type KeptReply, type Ledger, requestHash } from './ledger.ts'
import { LedgerEntry, type Recalled } from './ledger-entry.ts'
import { keepDead, publishReply } from './reply.ts'
import { reportOf, type SettledReport } from './report.ts'
import { isReadCommand, type RunOptions, rejected, tooLargeToReply } from './run.ts'
import { isForeign, isOurTrouble, isPassing, settlement } from './settle.ts'
import type { Suspects } from './suspects.ts'

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

type Report = Omit<SettledReport, 'ms'>

/** A delivery that was taken, and what it asks. */
interface Taken {
  readonly delivery: Delivery
  readonly takenAt: number
  /** Absent when it could not be parsed. */
  readonly command: Command | undefined
  /** Why it could not. */
  readonly outcome?: Outcome
}

/** A queue being served. */
export interface CommandConsumer {
  /** Commands between delivery and acknowledgement. */
  readonly inHand: number
  /** When the oldest of them came; `undefined` while there are none. */
  readonly oldestAt: number | undefined
  /**
   * Takes no more deliveries until `resume`. What is in hand goes on; of a queue that keeps its order (`inOrder`) what was
   * not sent is withdrawn and handed back, and the pause begins when the rest has ended.
   */
  pause(): Promise<void>
  /** With another prefetch than usual when one is given. */
  resume(prefetch?: number): Promise<void>
  /**
   * Takes no more deliveries, withdraws and hands back what was not sent, and waits for the rest, at most
   * `boundMs`. True when nothing is left in hand.
   */
  drain(boundMs: number): Promise<boolean>
}

/** One queue of several that are served together. */
export interface QueueConsumer extends CommandConsumer {
  /** Takes no more deliveries, for good; what is in hand is brought to its end. */
  leave(): Promise<void>
}

/** Begins to serve a queue of commands: parse, run, reply, acknowledge; every delivery ends exactly once. */
export async function consumeCommands(settings: ConsumeSettings): Promise<QueueConsumer> {
  const server = new QueueServer(settings)
  await server.start()
  return server
}

/** Names the page of the ledger where the reply is to be kept as well. */
export const KEEP_REPLY_HEADER = 'x-b24-keep-reply'

/** Ended commands that are remembered, in case their acknowledgement got lost with the connection. */
const REMEMBERED = 20_000
/** Bodies of commands in hand, at most, give or take what is on its way. */
const MAX_BYTES_IN_HAND = 256 * 1024 * 1024
/** The cloud cuts a request at 60 s. https://apidocs.bitrix24.com/limits.html */
const QUIET_MS = 75_000
/** So long a command is held while the store is away; then it is handed back, well before the broker takes it back. */
const MOST_HELD_MS = 300_000
/** Pause before the next try while the store or the broker is away. */
const PAUSE_MS = 1000

class QueueServer implements QueueConsumer {
  readonly #settings: ConsumeSettings
  readonly #jobs: InHand = createInHand(REMEMBERED)
  #stop = newStop()
  /** With the time of their delivery, oldest first. */
  readonly #running = new Map<Promise<void>, number>()
  /** Commands in hand by the domain of their portal. */
  readonly #portals = new HeldByPortal()
  #consumer: Consumer | undefined
  /** Bodies in hand. */
  #bytes = 0
  /** For good. */
  #isLeft = false
  /** Set while the queue is left alone for want of memory. */
  #resting: Promise<void> | undefined

  constructor(settings: ConsumeSettings) {
    this.#settings = settings
  }

  get inHand(): number {
    return this.#running.size
  }

  get oldestAt(): number | undefined {
    return this.#running.values().next().value
  }

  async start(prefetch = this.#settings.prefetch): Promise<void> {
    const { broker, queue } = this.#settings
    this.#consumer = await broker.consume(queue, { prefetch }, (delivery) => {
      if (this.#stop.signal.aborted) {
        this.#handBack(delivery)
        return
      }
      const { length } = delivery.message.body
      const running = this.#take(delivery).finally(() => {
        this.#running.delete(running)
        this.#portals.letGo(delivery)
        this.#weigh(-length)
      })
      this.#running.set(running, this.#settings.now())
      this.#weigh(length)
    })
  }

  /** Prefetch bounds messages, not memory: a queue of huge ones is left alone until half of them are done. */
  #weigh(bytes: number): void {
    this.#bytes += bytes
    const { log, queue } = this.#settings
    if (this.#resting === undefined && this.#bytes > MAX_BYTES_IN_HAND) {
      log('consumer.resting', { queue, bytes: this.#bytes })
      this.#resting = this.#consumer?.stop() ?? Promise.resolve()
    } else if (
      this.#resting !== undefined &&
      this.#bytes < MAX_BYTES_IN_HAND / 2 &&
      !this.#stop.signal.aborted
    ) {
      const resting = this.#resting
      this.#resting = undefined
      resting
        .then(() => this.start())
        .catch((error) =>
          log('consumer.failed', { queue, reason: error instanceof Error ? error.message : '' }),
        )
    }
  }

  async pause(): Promise<void> {
    if (this.#settings.inOrder !== true) return this.#consumer?.stop()
    this.#stop.abort()
    await this.#ended()
    await this.#consumer?.abandon()
  }

  async resume(prefetch?: number): Promise<void> {
    if (this.#settings.inOrder === true && !this.#isLeft) this.#stop = newStop()
    if (!this.#stop.signal.aborted && this.#resting === undefined) await this.start(prefetch)
  }

  async leave(): Promise<void> {
    this.#isLeft = true
    await this.#consumer?.stop()
    await this.#ended()
  }

  async drain(boundMs: number): Promise<boolean> {
    this.#isLeft = true
    const { inOrder = false } = this.#settings
    if (!inOrder) await this.#consumer?.stop()
    this.#stop.abort()
    const bound = sleep(boundMs, false, { ref: false })
    const inTime = await Promise.race([this.#ended().then(() => true), bound])
    // The next one in the order must not be given anything before this.
    if (inOrder) await this.#consumer?.abandon()
    return inTime
  }

  async #ended(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running.keys())
  }

  /** Where order matters it stays where it is until the consumer is abandoned: then all go back together. */
  #handBack(delivery: Delivery): void {
    if (this.#settings.inOrder !== true || !this.#stop.signal.aborted) delivery.requeue()
  }

  /** Keeps a delivery that comes back at once from turning in a circle; ends early when we shut down. */
  async #pause(): Promise<void> {
    await sleep(PAUSE_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined)
  }

  /** One delivery from arrival to its end; never rejects. */
  async #take(delivery: Delivery): Promise<void> {
    const startedAt = this.#settings.now()
    const { message } = delivery
    const identity = identityOf(message) ?? requestHash(message)
    const twin = delivery.redelivered ? this.#jobs.claim(identity, delivery) : undefined
    if (twin !== undefined) {
      if (await twin.end) {
        delivery.ack()
        if (!delivery.lost) this.#jobs.forget(twin)
        this.#settings.log('command.twin', { queue: delivery.queue, messageId: message.messageId })
        return
      }
      // The channel broke once more meanwhile: whoever came by the new one takes over.
      if (delivery.lost) return
    }
    const job = this.#jobs.add(identity, delivery)
    try {
      const report = await this.#inOrder(delivery, startedAt)
      job.finish(report?.outcome !== 'requeued')
      if (report !== undefined) this.#settings.onSettled({ ...report, ms: this.#settings.now() - startedAt })
    } catch (error) {
      const set = isForeign(error) && (await this.#setAside(delivery, error))
      job.finish(set)
      if (set) return
      await this.#pause()
      this.#handBack(delivery)
      this.#note('command.requeued', delivery, error)
    }
  }

  /** Commands with the same order key: the next one is begun when the one before has ended, or goes back before it. */
  #inOrder(delivery: Delivery, takenAt: number): Promise<Report | undefined> {
    const job = this.#read(delivery, takenAt)
    const { command } = job
    if (command?.orderKey === undefined) return this.#held(job)
    return this.#settings.turns.take(`order ${command.portal ?? ''} ${command.orderKey}`, async () => {
      const { aborted } = this.#stop.signal
      if (aborted || delivery.lost) throw new BrokerError('BROKER_CLOSED', 'Handed back before its turn came')
      return this.#held(job)
    })
  }

  /**
   * While the store is away a command is held here and tried again: handed back, it would come again at once, and RabbitMQ
   * would count each time as one more delivery. One that has a place in an order keeps it for as long as it takes.
   */
  async #held(job: Taken): Promise<Report | undefined> {
    const { now } = this.#settings
    const { delivery, command, takenAt } = job
    for (let isFirst = true; ; isFirst = false) {
      try {
        return await this.#watched(job)
      } catch (error) {
        const isLong = command?.orderKey === undefined && now() - takenAt > MOST_HELD_MS
        if (!isPassing(error) || isLong || this.#stop.signal.aborted || delivery.lost) throw error
        if (isFirst) this.#note('command.held', delivery, error)
        await this.#pause()
      }
    }
  }

  #note(event: string, delivery: Delivery, error: unknown): void {
    this.#settings.log(event, {
      ...idsOf(delivery),
      code: error instanceof BridgeError ? error.code : 'INTERNAL_ERROR',
      reason: error instanceof Error ? error.message : String(error),
    })
  }

  /** An error that nobody foresaw would come again with the message: keep it for people, with the stack in the log. */
  async #setAside(delivery: Delivery, error: unknown): Promise<boolean> {
    try {
      this.#settings.log('command.broken', {
        queue: delivery.queue,
        messageId: delivery.message.messageId,
        err: error,
      })
      const { failure } = rejected(error)
      const contract = this.#settings.contract.name
      const dead = { failure, contract, attempts: 0, unsure: true }
      // Without a queue that takes it the command comes again, rather than being lost.
      if (!(await keepDead(this.#settings, delivery, dead))) return false
      delivery.ack()
      return true
    } catch {
      return false
    }
  }

  /** What processes have died of is tried alone, and is kept for people when they die of it again. */
  async #watched(job: Taken): Promise<Report | undefined> {
    const { suspects } = this.#settings
    const { delivery } = job
    const verdict = await suspects?.look(delivery)
    if (verdict === 'moved') return undefined
    if (verdict !== undefined && verdict !== 'fine') {
      const known = { entry: undefined, portal: undefined, replayed: false }
      return this.#settle(delivery, undefined, verdict, known)
    }
    return this.#process(job).finally(() => suspects?.survived(delivery))
  }

  #read(delivery: Delivery, takenAt: number): Taken {
    const { contract, strictOrder = false } = this.#settings
    try {
      const command = contract.parse(originalMessage(delivery.message))
      return { delivery, takenAt, command: strictOrder ? { ...command, orderKey: 'strict' } : command }
    } catch (error) {
      return { delivery, takenAt, command: undefined, outcome: rejected(error) }
    }
  }

  async #process({ delivery, takenAt, command, outcome }: Taken): Promise<Report | undefined> {
    const ageMs = ageOf(delivery.message, takenAt) + this.#settings.now() - takenAt
    const due = command === undefined ? undefined : aged(command, ageMs)
    const entry = due === undefined ? undefined : this.#entryFor(delivery, due)
    const carryOut = () => this.#carryOut(delivery, due, outcome, entry)
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
    if (replayed?.reply !== undefined) {
      // Where the asker is now, not where it was: it may have been restarted with a new reply queue.
      const again = { ...replayed.reply, address: this.#addressFor(delivery.message, command) }
      await this.#keepForAsker(originalMessage(delivery.message), again)
      if (command?.reply !== false) await publishReply(this.#settings, delivery, again, () => again)
      delivery.ack()
      return this.#report(delivery, command, { kind: 'done', status: 200, attempts: 0 }, undefined, true)
    }
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
        signal: this.#stop.signal,
        ...aside,
      },
    )
    if (outcome === 'aside') return undefined
    return this.#settle(delivery, command, outcome, { entry, portal, replayed: outcome === begun?.outcome })
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
      await sleep(waitMs, undefined, { signal: this.#stop.signal }).catch(() => {
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
    known: { entry: LedgerEntry | undefined; portal: Portal | undefined; replayed: boolean },
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
      this.#handBack(delivery)
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
        unsure: outcome.kind === 'unknown',
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
        const counts = await entry.end(reply, outcome.kind !== 'failed')
        if (counts !== reply)
          this.#settings.log('command.overtaken', { ...idsOf(delivery), outcome: outcome.kind })
        return counts
      } catch (error) {
        const isOver = this.#stop.signal.aborted || now() - heldAt > MOST_HELD_MS
        if (!(error instanceof StoreError) || isOver) throw error
        await this.#pause()
      }
    }
  }

  /** A caller that asked over HTTP without waiting looks its reply up in the ledger. */
  async #keepForAsker(message: Message, reply: KeptReply): Promise<void> {
    const key = message.headers[KEEP_REPLY_HEADER]
    if (typeof key === 'string') await this.#settings.ledger?.done(key, requestHash(message), reply)
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
        const held = this.#portals.take(delivery, portal.domain)
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

/** Every command in hand listens to it; that is no leak. */
function newStop(): AbortController {
  const stop = new AbortController()
  setMaxListeners(0, stop.signal)
  return stop
}

function idsOf({ queue, message }: Delivery): {
  readonly queue: string
  readonly messageId: string | undefined
} {
  return { queue, messageId: message.messageId }
}

/** A deadline counts from the first arrival, whichever queues the message has been on since. */
function aged(command: Command, ageMs: number): Command {
  const { deadlineMs } = command
  return deadlineMs === undefined || ageMs === 0
    ? command
    : { ...command, deadlineMs: Math.max(1, deadlineMs - ageMs) }
}
