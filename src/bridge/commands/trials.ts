import { setTimeout as sleep } from 'node:timers/promises'
import type { Delivery } from '../../brokers/broker.ts'
import { BrokerError } from '../../model/errors.ts'
import type { Outcome } from '../../model/outcome.ts'
import { Turns } from '../../util/turns.ts'
import { type Suspects, suspectId } from './suspects.ts'

/** Remembers over the end of a process what it had in hand. */
export interface TrialStore {
  /** Who had it in hand last and has not ended it; `undefined` for nobody. */
  find(id: string): Promise<
    | {
        readonly owner: string
        /** Processes that died of it before. */
        readonly deaths: number
        /** Others were begun beside it. */
        readonly crowded: boolean
        /** That process is not there any more. */
        readonly gone: boolean
      }
    | undefined
  >
  /** It is in hand here from now on. */
  begin(id: string, deaths: number, now: number): Promise<void>
  crowd(id: string): Promise<void>
  end(id: string): Promise<void>
  /** Ends all that this process has begun. */
  endAll(): Promise<void>
}

export interface TrialOptions {
  readonly store: TrialStore
  /** This process, as the store has it. */
  readonly owner: string
  readonly now: () => number
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
  /** How long nothing is tried after the start; 5 seconds. Whatever else kills processes does it before. */
  readonly settleMs?: number
  /** How long one that nobody has died of is tried before the next is begun beside it; none. */
  readonly aloneMs?: number
  /** Between two looks at a process that has it in hand, and how long it is waited for; 2 and 60 seconds. */
  readonly lookMs?: number
  readonly patienceMs?: number
}

const MOST_DEATHS = 2

/**
 * Tries suspects; each trial is noted in the store, with its process, before and after.
 *
 * | a process is gone without having ended the trial, and | then |
 * | --- | --- |
 * | no other was begun beside it | that counts as a death; with the second it is convicted |
 * | others were begun beside it | nobody is blamed, but next time none is begun beside it |
 *
 * So messages that nobody has died of are tried side by side, as quickly as they come: when that ends a process, each of
 * them is tried alone next time, when those that are in hand have ended, or have hung for a while. One that another process
 * has in hand is waited for, until that has ended it, or is surely gone. A process that ends in order ends its trials. What
 * is still able to convict an innocent are two processes that were killed from outside, each while it was tried alone.
 */
export function trySuspects(options: TrialOptions): Suspects {
  const { store, owner, now, log, settleMs = 5000, aloneMs = 0 } = options
  const { lookMs = 2000, patienceMs = 60_000 } = options
  const turns = new Turns()
  const closing = new AbortController()
  const settled = pause(settleMs)
  /** Trials under way: what ends each, and what tells that it has ended. */
  const running = new Map<Delivery, { readonly over: () => void; readonly end: Promise<unknown> }>()

  function pause(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: closing.signal, ref: false }).catch(() => undefined)
  }

  /** What is known of it, when no other process has it in hand any more. */
  async function known(
    id: string,
    withinMs: number,
  ): Promise<{ readonly deaths: number; readonly isNew: boolean }> {
    const until = now() + withinMs
    for (;;) {
      const before = await store.find(id)
      if (before === undefined) return { deaths: 0, isNew: true }
      const { deaths, crowded, gone } = before
      if (gone) return { deaths: crowded ? deaths : deaths + 1, isNew: false }
      if (before.owner === owner || now() >= until || closing.signal.aborted)
        return { deaths, isNew: deaths === 0 && !crowded }
      await pause(lookMs)
    }
  }

  /** Begins it, tells `begun`, and holds the turn for as long as no other may be begun beside it. */
  async function hold(
    delivery: Delivery,
    id: string,
    begun: (verdict: 'fine' | Outcome) => void,
  ): Promise<void> {
    if (delivery.lost)
      throw new BrokerError('CONNECTION_LOST', 'Its connection was lost before its turn came')
    if (closing.signal.aborted) return begun('fine')
    const { deaths, isNew } = await known(id, 0)
    if (deaths >= MOST_DEATHS) {
      await store.begin(id, 0, now())
      await store.end(id)
      log('command.convicted', { queue: delivery.queue, messageId: delivery.message.messageId, deaths })
      return begun(CONVICTED)
    }
    if (!isNew)
      await Promise.race([Promise.all([...running.values()].map(({ end }) => end)), pause(patienceMs)])
    await store.begin(id, deaths, now())
    if (closing.signal.aborted) await store.end(id)
    let over: () => void = () => undefined
    const end = new Promise<'over'>((resolve) => {
      over = () => resolve('over')
    })
    running.set(delivery, { over, end })
    begun('fine')
    if (!isNew) return void (await end)
    for (let wait = aloneMs; (await Promise.race([end, pause(wait)])) !== 'over'; wait = lookMs) {
      const noted = closing.signal.aborted || (await store.crowd(id).then(yes, no))
      if (noted) return
    }
  }

  async function end(id: string): Promise<void> {
    // Left there, it would be blamed for the end of this process.
    while (!closing.signal.aborted && !(await store.end(id).then(yes, no))) await pause(lookMs)
  }

  async function endAll(): Promise<void> {
    for (let tries = 0; tries < 30 && !(await store.endAll().then(yes, no)); tries++)
      await sleep(lookMs, undefined, { ref: false })
  }

  return {
    async look(delivery) {
      const id = suspectId(delivery)
      await settled
      // Whoever has it elsewhere is waited for outside of the turn.
      if (!closing.signal.aborted) await known(id, patienceMs)
      return new Promise((resolve, reject) => {
        turns.take('trial', () => hold(delivery, id, resolve)).catch(reject)
      })
    },
    survived(delivery) {
      running.get(delivery)?.over()
      if (running.delete(delivery)) void end(suspectId(delivery))
    },
    close() {
      closing.abort()
      for (const { over } of running.values()) over()
      void endAll()
    },
  }
}

const yes = (): boolean => true
const no = (): boolean => false

const CONVICTED: Outcome = {
  kind: 'unknown',
  status: 500,
  attempts: 0,
  failure: {
    code: 'COMMAND_FATAL',
    description: 'The bridge ended again and again while it worked on this command',
    retryable: false,
    hint: 'Report it with the dead letter: this is a fault of ours. Look in Bitrix24 before you send it again.',
  },
}
