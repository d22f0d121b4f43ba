/**
 * What goes wrong, and when. The first fault in the list that matches a request, or a command inside a batch, acts;
 * a fault that has acted `times` times is spent.
 *
 * | kind | executed before it? | what the caller sees |
 * | --- | --- | --- |
 * | `refuse` | no | the error given, or 503 `QUERY_LIMIT_EXCEEDED`; inside a batch only that command fails |
 * | `reset` | no | the connection is reset |
 * | `reset-after` | yes, a batch up to the matched command | the connection is reset |
 * | `status` | no | `status`, or 502, with an HTML body |
 * | `html` | no | `status`, or 200, with an HTML body |
 * | `truncate` | yes | half of the answer's JSON |
 * | `slow` | yes | the answer, `delayMs` later; past the cut it is 504 with an HTML body |
 * | `hang` | no | nothing, until somebody closes the connection |
 */
export interface Fault {
  /** Without a method: every request. With one: a request for it or a command in a batch; `crm.*` matches a family. */
  readonly match?: {
    readonly method?: string
    /** Acts from the n-th match on, counted from 1. */
    readonly nth?: number
  }
  /** How often it acts; 1 unless given, 0 is without end. */
  readonly times?: number
  readonly kind: 'refuse' | 'reset' | 'reset-after' | 'status' | 'html' | 'truncate' | 'slow' | 'hang'
  readonly status?: number
  readonly error?: { readonly error: string; readonly error_description: string }
  readonly delayMs?: number
  /** Overrules the second column of the table for `status`, `html` and `hang`. */
  readonly executed?: boolean
}

/** Thrown to end a request in a way that is no JSON answer. */
export class Interruption extends Error {
  readonly fault: Fault

  constructor(fault: Fault) {
    super(fault.kind)
    this.fault = fault
  }
}

/** True when the method runs before the fault shows. */
export function runsFirst(fault: Fault): boolean {
  if (fault.kind === 'reset-after' || fault.kind === 'truncate' || fault.kind === 'slow') return true
  return fault.executed === true && fault.kind !== 'refuse' && fault.kind !== 'reset'
}

interface Entry {
  readonly fault: Fault
  readonly matches: (method: string) => boolean
  seen: number
  acted: number
}

/** A list of faults at work. */
export class FaultScript {
  #entries: Entry[] = []
  /** How often each kind has acted. */
  readonly acted: Record<string, number> = {}

  /** Replaces the list; counting starts anew. An empty list ends all faults. */
  load(faults: readonly Fault[]): void {
    this.#entries = faults.map((fault) => ({
      fault,
      matches: matcher(fault.match?.method),
      seen: 0,
      acted: 0,
    }))
  }

  /** The fault for a request as a whole: those which name no method. */
  forRequest(): Fault | undefined {
    return this.#entries.length === 0
      ? undefined
      : this.#find((entry) => entry.fault.match?.method === undefined)
  }

  /** The fault for one call, alone or inside a batch: those which name its method. */
  forCall(method: string): Fault | undefined {
    if (this.#entries.length === 0) return undefined
    return this.#find((entry) => entry.fault.match?.method !== undefined && entry.matches(method))
  }

  #find(matches: (entry: Entry) => boolean): Fault | undefined {
    let found: Fault | undefined
    for (const entry of this.#entries) {
      const { fault } = entry
      if (!matches(entry)) continue
      entry.seen += 1
      const times = fault.times ?? 1
      if (
        found !== undefined ||
        entry.seen < (fault.match?.nth ?? 1) ||
        (times !== 0 && entry.acted >= times)
      )
        continue
      entry.acted += 1
      this.acted[fault.kind] = (this.acted[fault.kind] ?? 0) + 1
      found = fault
    }
    return found
  }
}

function matcher(pattern: string | undefined): (method: string) => boolean {
  if (pattern === undefined) return () => true
  const wanted = pattern.toLowerCase()
  if (wanted.endsWith('*')) return (method) => method.startsWith(wanted.slice(0, -1))
  return (method) => method === wanted
}
