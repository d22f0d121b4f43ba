import type { PushMessage } from './message.ts'

/**
 * How far the history of the channels has been read.
 *
 * - `mid`: behind this message (servers since version 3);
 * - `tag`, `time`: the same on older servers;
 * - `since`: nothing has come yet, and what is younger than this moment is wanted.
 */
export type Position =
  | { readonly mid: string }
  | { readonly tag: string; readonly time: string }
  | { readonly since: number }

/** The position as text for a store. */
export function encodePosition(position: Position): string {
  if ('mid' in position) return `mid:${position.mid}`
  return 'since' in position ? `since:${position.since}` : `tag:${position.tag}:${position.time}`
}

/** What `encodePosition` wrote; `undefined` for anything else. */
export function decodePosition(text: string): Position | undefined {
  const [, kind, rest = ''] = /^(mid|since|tag):(.+)$/s.exec(text) ?? []
  if (kind === 'mid') return { mid: rest }
  if (kind === 'since') return Number.isFinite(Number(rest)) ? { since: Number(rest) } : undefined
  const [, tag = '', time = ''] = /^([^:]*):(.+)$/s.exec(rest) ?? []
  return kind === 'tag' && tag !== '' ? { tag, time } : undefined
}

/** The position behind a message that came at `position`; an older message does not set it back. */
export function advance(position: Position | undefined, message: PushMessage): Position | undefined {
  const { mid, tag, time } = message
  if (mid !== undefined) {
    return position !== undefined && 'mid' in position && compareMids(mid, position.mid) <= 0
      ? position
      : { mid }
  }
  return tag !== undefined && time !== undefined ? { tag, time } : position
}

/** Mids of one length compare as text; one of another length is newer: the server writes them differently now. */
function compareMids(a: string, b: string): number {
  if (a.length !== b.length || a === b) return a === b ? 0 : 1
  return a < b ? -1 : 1
}

/** Servers take any 26 digits as a place in the history: this one is in front of everything. */
const FROM_THE_START = '0'.repeat(26)

/** The parameters that ask for the history behind a position. */
export function historyQuery(
  position: Position | undefined,
  version: number,
): Readonly<Record<string, string>> {
  if (position === undefined) return {}
  if ('mid' in position) return { mid: position.mid }
  if ('since' in position) return version >= 3 ? { mid: FROM_THE_START } : {}
  return { tag: position.tag, time: position.time }
}
