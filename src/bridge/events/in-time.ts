import { isHopeless } from './hopeless.ts'

/** A publication that nobody has confirmed yet. */
export interface UnderWay {
  readonly member: string
  /** Waits for it no longer: its event goes to the store. */
  readonly giveUp: () => void
}

/** Even what was slow to get here has this long. */
const LEAST_MS = 20

/**
 * How a publication ended: `confirmed`, its error, or `late` when no time is left. What came in while this process was
 * busy is in time. When one is late, all of its portal are: what came after it would otherwise be passed by those that
 * come next. `onFailed` is called for an error that is none of the event, and is to give up all that is under way in the
 * order in which it came: this one has its turn among the others.
 */
export function inTime(
  publication: Promise<void>,
  leftMs: () => number,
  among: { readonly underWay: Set<UnderWay>; readonly member: string; readonly onFailed: () => void },
): Promise<unknown> {
  const { underWay, member, onFailed } = among
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout
    let failure: unknown
    const end = (outcome: unknown): void => {
      clearTimeout(timer)
      underWay.delete(own)
      resolve(outcome)
    }
    const own: UnderWay = { member, giveUp: () => end(failure ?? 'late') }
    const wait = (ms: number): void => {
      timer = setTimeout(() => setImmediate(look), ms)
    }
    const look = (): void => {
      if (!underWay.has(own)) return
      const left = leftMs()
      if (left > 0) wait(left)
      else for (const one of [...underWay]) if (one.member === member) one.giveUp()
    }
    const fail = (error: unknown): void => {
      if (isHopeless(error)) end(error)
      if (!underWay.has(own)) return
      failure = error
      onFailed()
    }
    underWay.add(own)
    wait(Math.max(LEAST_MS, leftMs()))
    publication.then(() => end('confirmed'), fail)
  })
}
