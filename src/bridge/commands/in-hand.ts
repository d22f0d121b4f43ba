import type { Delivery } from '../../brokers/broker.ts'

/** A command from its delivery until the broker has surely heard that it ended. */
export interface Job {
  /** Message id, or a hash of the message when it has none. */
  readonly identity: string
  /** Resolves when its reply is confirmed (`true`) or it was handed back (`false`). */
  readonly end: Promise<boolean>
  /** Ends it; once. */
  finish(replied: boolean): void
}

/**
 * The commands that this process has in hand. When a channel or connection ends, the broker hands out again what was
 * not acknowledged over it; such a twin is recognised here, waits for the first one and is not run anew.
 *
 * A message is taken for a twin only when the broker marks it as redelivered and the delivery that held the same
 * message is lost. What ended with its acknowledgement sent over a living channel is forgotten at once: a later message
 * of the same content is another command.
 */
export interface InHand {
  add(identity: string, delivery: Delivery): Job
  /** The job whose delivery was lost, now held by this one; `undefined` for a new message. */
  claim(identity: string, delivery: Delivery): Job | undefined
  /** The broker has heard of its end. */
  forget(job: Job): void
  /** Commands that have not ended. */
  readonly size: number
}

interface HeldJob extends Job {
  holder: Delivery
}

/** Jobs that ended without the broker hearing of it are remembered up to `keep`, the oldest forgotten first. */
export function createInHand(keep: number): InHand {
  const jobs = new Map<string, HeldJob[]>()
  const unheard = new Set<HeldJob>()
  let running = 0

  function forget(job: HeldJob): void {
    unheard.delete(job)
    const list = jobs.get(job.identity)
    const at = list?.indexOf(job) ?? -1
    if (list === undefined || at < 0) return
    list.splice(at, 1)
    if (list.length === 0) jobs.delete(job.identity)
  }

  function finished(job: HeldJob, delivery: Delivery, replied: boolean): void {
    running--
    if (!replied || (job.holder === delivery && !delivery.lost)) {
      forget(job)
      return
    }
    unheard.add(job)
    const [oldest] = unheard
    if (unheard.size > keep && oldest !== undefined) forget(oldest)
  }

  return {
    get size() {
      return running
    },
    add(identity, delivery) {
      let resolve: (replied: boolean) => void = () => undefined
      const end = new Promise<boolean>((settle) => {
        resolve = settle
      })
      const job: HeldJob = {
        identity,
        end,
        holder: delivery,
        finish(replied) {
          finished(job, delivery, replied)
          resolve(replied)
        },
      }
      running++
      const list = jobs.get(identity)
      if (list === undefined) jobs.set(identity, [job])
      else list.push(job)
      return job
    },
    claim(identity, delivery) {
      const job = jobs.get(identity)?.findLast(({ holder }) => holder.lost)
      if (job !== undefined) job.holder = delivery
      return job
    },
    forget: (job) => forget(job as HeldJob),
  }
}
