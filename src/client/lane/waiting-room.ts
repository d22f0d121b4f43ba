import type { Priority } from '../../model/call.ts'
import { SourceQueue, type Waiting } from './waiting.ts'

/** Idle queues of sources are forgotten when there are more than this many. */
const KEPT_SOURCES = 32

/**
 * Where work waits. An item is in a source queue; or behind another of its order key; or nowhere, because it is under
 * way or has ended. Only the first unfinished item of an order key ever stands in a queue.
 */
export class WaitingRoom {
  /** By priority, a queue a source, in the order in which the sources came. The planner reads them. */
  readonly queues: Record<Priority, SourceQueue[]> = { urgent: [], normal: [], bulk: [] }
  readonly #bySource = new Map<string, SourceQueue>()
  readonly #behind = new Map<string, Waiting[]>()

  add(item: Waiting): void {
    const { orderKey } = item
    const behind = orderKey === undefined ? undefined : this.#behind.get(orderKey)
    if (behind !== undefined) {
      behind.push(item)
      return
    }
    if (orderKey !== undefined) this.#behind.set(orderKey, [])
    this.#queueOf(item).push(item)
  }

  /** Items that were taken out and go back before all others, in their old order. */
  putBack(items: readonly Waiting[]): void {
    for (const item of [...items].reverse()) this.#queueOf(item).unshift(item)
  }

  /** An item that was taken out has ended: the next of its order key may go. */
  ended(item: Waiting): void {
    if (item.orderKey === undefined) return
    const next = this.#behind.get(item.orderKey)?.shift()
    if (next === undefined) this.#behind.delete(item.orderKey)
    else this.#queueOf(next).push(next)
  }

  /** Takes an item out wherever it waits. False when it does not wait here. */
  remove(item: Waiting): boolean {
    const behind = item.orderKey === undefined ? undefined : this.#behind.get(item.orderKey)
    const place = behind?.indexOf(item) ?? -1
    if (place >= 0) {
      behind?.splice(place, 1)
      return true
    }
    if (!this.#queueOf(item).removeItem(item)) return false
    this.ended(item)
    return true
  }

  /** Everything that waits. */
  all(): Waiting[] {
    const all: Waiting[] = []
    for (const queue of this.#bySource.values()) all.push(...queue)
    for (const behind of this.#behind.values()) all.push(...behind)
    return all
  }

  /** Callers may name any number of sources in the course of time; queues of those that are gone are dropped. */
  tidy(): void {
    if (this.#bySource.size <= KEPT_SOURCES) return
    for (const [key, queue] of this.#bySource) if (queue.size === 0) this.#bySource.delete(key)
    for (const priority of ['urgent', 'normal', 'bulk'] as const) {
      this.queues[priority] = this.queues[priority].filter((queue) => queue.size > 0)
    }
  }

  #queueOf(item: Waiting): SourceQueue {
    const key = `${item.priority} ${item.source}`
    let queue = this.#bySource.get(key)
    if (queue === undefined) {
      queue = new SourceQueue()
      this.#bySource.set(key, queue)
      this.queues[item.priority].push(queue)
    }
    return queue
  }
}
