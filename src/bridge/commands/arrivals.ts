import type { Delivery } from '../../brokers/broker.ts'
import { DEAD_HEADERS } from '../dead/headers.ts'
import { FIRST_SEEN_HEADER } from './aside.ts'

/**
 * When deliveries came, for one question: a command of the same id has failed, was it this one? Then it has its end, and
 * only the acknowledgement got lost; otherwise its sender wants it tried again.
 *
 * | the delivery | came |
 * | --- | --- |
 * | was moved between queues | when it was moved first |
 * | is on the queue of suspects, where nothing comes that was not handed out before | before anything that has ended |
 * | is handed out for the first time | when this process took it |
 * | is handed out again | before anything that has ended |
 * | is handed out again, and was sent again by an operator | after it: it must be tried |
 */
export class Arrivals {
  readonly #takenAt = new WeakMap<Delivery, number>()
  readonly #onlyAgain: boolean

  /** `onlyAgain`: of a queue of suspects. */
  constructor({ onlyAgain }: { readonly onlyAgain: boolean }) {
    this.#onlyAgain = onlyAgain
  }

  note(delivery: Delivery, at: number): void {
    this.#takenAt.set(delivery, at)
  }

  cameBefore(delivery: Delivery, endedAt: number): boolean {
    const { headers } = delivery.message
    const movedAt = headers[FIRST_SEEN_HEADER]
    if (typeof movedAt === 'number' && !this.#onlyAgain) return movedAt <= endedAt
    if (delivery.redelivered || this.#onlyAgain) return headers[DEAD_HEADERS.retry] === undefined
    return (this.#takenAt.get(delivery) ?? Infinity) <= endedAt
  }
}
