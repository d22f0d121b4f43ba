import type { CommandKind, Sent } from './load.ts'

/** A reply as the asker saw it. */
export interface SeenReply {
  readonly outcome: string
  /** Why it did not end well. */
  readonly code: string | undefined
  /** The reply's own message id. */
  readonly replyId: string | undefined
  readonly at: number
}

/** The three logs of a run: what was sent, what was answered, and what the portals have carried out. */
export interface Seen {
  readonly sent: readonly Sent[]
  readonly replies: ReadonlyMap<string, readonly SeenReply[]>
  /** How often each key was written in the portals. */
  readonly writes: ReadonlyMap<string, number>
  readonly requests: number
  /** Requests that the portals refused with `QUERY_LIMIT_EXCEEDED`. */
  readonly overLimit: number
}

/** A run in numbers. */
export interface Account {
  /** Commands that the broker had confirmed to their sender. */
  readonly commands: number
  readonly done: number
  readonly failed: number
  readonly unknown: number
  /** Commands with a reply more than one; every one of them says the same. */
  readonly repliedAgain: number
  /** Commands that the sender itself published more than once, because it heard nothing of the first. */
  readonly sentAgain: number
  readonly writes: number
  readonly requests: number
  readonly overLimit: number
}

/** What must not be, each with the keys where it is. */
export interface Breaches {
  /** Confirmed to their sender, and never answered. */
  readonly unanswered: readonly string[]
  /** Answered in two ways. */
  readonly contradicted: readonly string[]
  /** Written twice in a portal. */
  readonly doubled: readonly string[]
  /** `done`, and in no portal. */
  readonly missing: readonly string[]
  /** `failed`, and carried out all the same. */
  readonly denied: readonly string[]
  /** Answered more than once, where nothing happened that would allow it. */
  readonly repeated: readonly string[]
  readonly overLimit: number
}

export interface Allowances {
  /** Processes or connections ended in the middle: a reply may come again, word for word. */
  readonly twice: boolean
  /** Somebody else used up the portal's limit. */
  readonly overLimit: boolean
}

const WRITES: ReadonlySet<CommandKind> = new Set(['update', 'add', 'marked'])

/** Compares the three logs. */
export function audit(seen: Seen, allowed: Allowances): { account: Account; breaches: Breaches } {
  const accepted = seen.sent.filter((sent) => sent.accepted)
  const repliesTo = (key: string): readonly SeenReply[] => seen.replies.get(key) ?? []
  const outcomes = (key: string): Set<string> => new Set(repliesTo(key).map(({ outcome }) => outcome))
  const keysWhere = (wrong: (sent: Sent) => boolean): string[] => accepted.filter(wrong).map(({ key }) => key)
  const ended = (outcome: string): number => keysWhere(({ key }) => outcomes(key).has(outcome)).length
  const written = (key: string): number => seen.writes.get(key) ?? 0
  const isWrite = ({ kind }: Sent): boolean => WRITES.has(kind)
  return {
    account: {
      commands: accepted.length,
      done: ended('done'),
      failed: ended('failed'),
      unknown: ended('unknown'),
      repliedAgain: keysWhere(({ key }) => repliesTo(key).length > 1).length,
      sentAgain: accepted.filter(({ resent }) => resent).length,
      writes: [...seen.writes.values()].reduce((sum, times) => sum + times, 0),
      requests: seen.requests,
      overLimit: seen.overLimit,
    },
    breaches: {
      unanswered: keysWhere(({ key }) => repliesTo(key).length === 0),
      contradicted: keysWhere(({ key }) => outcomes(key).size > 1).map((key) =>
        withEnds(key, repliesTo(key)),
      ),
      doubled: [...seen.writes].filter(([, times]) => times > 1).map(([key]) => key),
      missing: keysWhere(
        (sent) => isWrite(sent) && outcomes(sent.key).has('done') && written(sent.key) === 0,
      ),
      denied: keysWhere(
        (sent) => isWrite(sent) && outcomes(sent.key).has('failed') && written(sent.key) > 0,
      ).map((key) => withEnds(key, repliesTo(key))),
      repeated: allowed.twice ? [] : keysWhere(({ key, resent }) => !resent && repliesTo(key).length > 1),
      overLimit: allowed.overLimit ? 0 : seen.overLimit,
    },
  }
}

function withEnds(key: string, replies: readonly SeenReply[]): string {
  return `${key}: ${replies.map(({ outcome, code }) => [outcome, code].filter(Boolean).join(' ')).join(', ')}`
}

/** Nothing that must not be. */
export const NO_BREACHES: Breaches = {
  unanswered: [],
  contradicted: [],
  doubled: [],
  missing: [],
  denied: [],
  repeated: [],
  overLimit: 0,
}
