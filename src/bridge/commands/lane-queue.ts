import type { Portal } from '../portals.ts'
import type { QueueConsumer } from './consume.ts'

/** The lane queues that exist, for all processes and for the next start. */
export interface LaneQueueStore {
  /** Names it, or says that it is in use still. */
  note(queue: string, domain: string, now: number): Promise<void>
  list(): Promise<readonly { readonly queue: string; readonly domain: string; readonly usedAt: number }[]>
  forget(queue: string): Promise<void>
  /** Runs the work while no other process makes or deletes this queue. Rejects when another one does, for seconds. */
  alone<T>(queue: string, work: () => Promise<T>): Promise<T>
}

/** A silent lane queue is tried again after so long, and one try takes about so long. */
const SILENT_MS = 30_000
const TRY_MS = 10_000

/** How a lane queue is read: as fast as its portal takes it, one command at a time to see whether it does, or not. */
export type Reading = 'full' | 'probe' | 'none'

/** The queue of one portal, as one process knows it. */
export class LaneQueue {
  readonly queue: string
  readonly domain: string
  readonly #serve: (queue: string) => Promise<QueueConsumer>
  /** New commands of the portal go there; false once it has been empty for a while. */
  moving = false
  /** Since when it has been seen empty. */
  emptySince: number | undefined
  /** When this process said last that it is in use. */
  notedAt = 0
  /** Commands that this process has moved there since it was opened. */
  moved = 0
  /** Set while the queue is being made. */
  opening: Promise<void> | undefined
  /** Set while it is being looked at. */
  looking: Promise<void> | undefined
  consumer: QueueConsumer | undefined
  #reading: Reading = 'none'
  #drained = false
  /** When the next command tries whether it confirms something again; 0 while it does. */
  #nextTryAt = 0

  constructor(queue: string, domain: string, serve: (queue: string) => Promise<QueueConsumer>) {
    this.queue = queue
    this.domain = domain
    this.#serve = serve
  }

  /** Reads it in another way from now on; resolves when what was in hand the old way has ended or gone back. */
  async read(reading: Reading): Promise<void> {
    if (reading === this.#reading || this.#drained) return
    if (this.consumer === undefined) {
      if (reading === 'none') return
      this.consumer = await this.#serve(this.queue)
      this.#reading = 'full'
      if (this.#drained) await this.consumer.drain(0)
      return
    }
    if (this.#reading !== 'none') await this.consumer.pause()
    this.#reading = 'none'
    if (reading === 'none' || this.#drained) return
    await this.consumer.resume(reading === 'probe' ? 1 : undefined)
    this.#reading = reading
  }

  /** The queue has confirmed nothing, most often because it has no leader. True when that is news. */
  fellSilent(now: number): boolean {
    const isNews = this.#nextTryAt === 0
    this.#nextTryAt = now + SILENT_MS
    return isNews
  }

  /** How long a command is to wait elsewhere, in milliseconds; 0 for one now and then, which tries for all. */
  silentMs(now: number): number {
    if (this.#nextTryAt === 0) return 0
    if (now < this.#nextTryAt) return this.#nextTryAt - now
    this.#nextTryAt = now + TRY_MS
    return 0
  }

  /** It has confirmed something. */
  answered(): void {
    this.#nextTryAt = 0
  }

  /** See `CommandConsumer.drain`; it is not read any more after that. */
  async drain(boundMs: number): Promise<boolean> {
    this.#drained = true
    return this.consumer?.drain(boundMs) ?? true
  }
}

/** The earliest arrival among the commands in hand of several; `undefined` while none has any. */
export function oldestOf(parts: readonly Pick<QueueConsumer, 'oldestAt'>[]): number | undefined {
  const times = parts.flatMap(({ oldestAt }) => oldestAt ?? [])
  return times.length === 0 ? undefined : Math.min(...times)
}

/** The portal cannot be called now. */
export function isBlocked({ lane }: Pick<Portal, 'lane'>): boolean {
  return lane.stats().trouble !== undefined
}
