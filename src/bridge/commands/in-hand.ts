/** A command between its delivery and its acknowledgement. */
export interface Job {
  /** Message id, or a hash of the message when it has none. */
  readonly identity: string
  /** Reconnections of the broker before it was delivered. */
  readonly generation: number
  /** Resolves when its reply is confirmed (`true`) or it was handed back (`false`). */
  readonly end: Promise<boolean>
}

/**
 * The commands that this process has in hand, and those that it has just ended. After a reconnection the broker hands
 * out again what was not acknowledged; such a twin is recognised here, waits for the first one and is not run anew.
 *
 * Only a message that the broker marks as redelivered, that came by a later connection, and that no other delivery by
 * that connection has claimed already is taken for one. When that connection breaks too, the next twin claims it anew.
 */
export interface InHand {
  add(job: Job): void
  /** The earlier delivery of the same message, claimed for one twin; `undefined` for a new message. */
  claim(identity: string, generation: number): Job | undefined
  readonly size: number
}

/** Ended jobs are remembered up to `keep`, the oldest forgotten first. */
export function createInHand(keep: number): InHand {
  const jobs = new Map<string, Job[]>()
  /** The generation of the latest twin of a job. */
  const claimed = new WeakMap<Job, number>()
  /** The last `keep` that ended; the oldest is overwritten. */
  const ended: Job[] = []
  let oldest = 0
  let running = 0

  const drop = (job: Job): void => {
    const list = jobs.get(job.identity)
    const at = list?.indexOf(job) ?? -1
    if (list === undefined || at < 0) return
    list.splice(at, 1)
    if (list.length === 0) jobs.delete(job.identity)
  }

  return {
    get size() {
      return running
    },
    add(job) {
      running++
      const list = jobs.get(job.identity)
      if (list === undefined) jobs.set(job.identity, [job])
      else list.push(job)
      void job.end.then((replied) => {
        running--
        if (!replied) {
          drop(job)
          return
        }
        if (ended.length < keep) {
          ended.push(job)
          return
        }
        drop(ended[oldest] as Job)
        ended[oldest] = job
        oldest = (oldest + 1) % keep
      })
    },
    claim(identity, generation) {
      // The latest one: an earlier message of the same content may have ended long ago.
      const job = jobs.get(identity)?.findLast((one) => (claimed.get(one) ?? one.generation) < generation)
      if (job !== undefined) claimed.set(job, generation)
      return job
    },
  }
}
