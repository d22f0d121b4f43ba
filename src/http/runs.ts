import { requestHash } from '../bridge/commands/ledger.ts'
import type { Message } from '../brokers/broker.ts'
import { refusal } from './problems.ts'

/** What carries a command out and gives its native reply. */
export type RunCommand = (message: Message, signal: AbortSignal) => Promise<{ readonly reply: Message }>

/** Somebody's share in a command that is under way. Exactly one of the two ways to leave is taken, or none at the end. */
export interface Waiter {
  readonly reply: Promise<Message>
  /** The caller was told to ask again later: the command goes on and its reply is kept. */
  askLater(): void
  /** The caller is gone: when nobody else waits, what has not been sent is withdrawn. */
  hangUp(): void
}

/** The commands that callers wait for, by id. */
export interface Runs {
  /** Under way at this moment. */
  readonly size: number
  /**
   * Begins a command, or joins the one that is under way under this id: a caller that repeats itself gets the same
   * reply. Throws `MESSAGE_ID_REUSED` when that is another command, `TOO_MANY_COMMANDS` when the room is full.
   */
  join(id: string, message: Message): Waiter
  /** A command somebody was told to ask for: its reply, `pending`, or `undefined`. Rejects as the command did. */
  find(id: string): Promise<Message | 'pending' | undefined>
}

/** Bounds of `createRuns`. */
export interface RunsOptions {
  readonly run: RunCommand
  /** Commands under way at once. */
  readonly most: number
  /** Milliseconds on any clock. */
  readonly now: () => number
}

/** Replies that nobody has been given yet are kept this long, and only within the two other bounds. */
const KEEP = { ms: 600_000, replies: 1000, bytes: 64 * 1024 * 1024 } as const

interface Run {
  readonly hash: string
  readonly reply: Promise<Message>
  readonly stop: AbortController
  waiters: number
  kept: boolean
}

interface Kept {
  readonly hash: string
  readonly reply: Promise<Message>
  readonly until: number
  readonly bytes: number
}

/**
 * A run is in `under way` until its command has ended; then in `kept` when a caller was told to ask later, oldest
 * first; otherwise it is forgotten, and a repeated command is for the ledger to answer.
 */
export function createRuns({ run, most, now }: RunsOptions): Runs {
  const underWay = new Map<string, Run>()
  const kept = new Map<string, Kept>()
  let keptBytes = 0

  const drop = (id: string): void => {
    keptBytes -= kept.get(id)?.bytes ?? 0
    kept.delete(id)
  }
  const prune = (): void => {
    for (const [id, { until }] of kept) {
      if (until > now() && kept.size <= KEEP.replies && keptBytes <= KEEP.bytes) break
      drop(id)
    }
  }
  const end = (id: string, ended: Run, bytes: number): void => {
    if (underWay.get(id) === ended) underWay.delete(id)
    if (!ended.kept) return
    drop(id)
    kept.set(id, { hash: ended.hash, reply: ended.reply, until: now() + KEEP.ms, bytes })
    keptBytes += bytes
    prune()
  }
  const begin = (id: string, message: Message, hash: string): Run => {
    if (underWay.size >= most) throw refusal('TOO_MANY_COMMANDS')
    const stop = new AbortController()
    const reply = run(message, stop.signal).then((ended) => ended.reply)
    const begun: Run = { hash, reply, stop, waiters: 0, kept: false }
    underWay.set(id, begun)
    reply.then(
      ({ body }) => end(id, begun, body.length),
      () => end(id, begun, 0),
    )
    return begun
  }
  const join = (id: string, message: Message): Waiter => {
    prune()
    const hash = hashOf(message)
    const known = underWay.get(id) ?? kept.get(id)
    if (known !== undefined && known.hash !== hash) throw refusal('MESSAGE_ID_REUSED')
    if (known !== undefined && !('stop' in known)) return { reply: known.reply, askLater() {}, hangUp() {} }
    // A withdrawn command is about to end and cannot be joined; whoever repeats it begins anew.
    const joined = known === undefined || known.stop.signal.aborted ? begin(id, message, hash) : known
    joined.waiters++
    return {
      reply: joined.reply,
      askLater() {
        joined.kept = true
      },
      hangUp() {
        joined.waiters--
        if (joined.waiters === 0 && !joined.kept) joined.stop.abort()
      },
    }
  }
  return {
    get size() {
      return underWay.size
    },
    join,
    async find(id) {
      prune()
      return underWay.has(id) ? 'pending' : kept.get(id)?.reply
    },
  }
}

/** What the command asks; the trace that it belongs to is no part of that. */
function hashOf(message: Message): string {
  const { traceparent: _, ...headers } = message.headers
  return requestHash({ ...message, headers })
}
