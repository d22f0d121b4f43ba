import { setTimeout as sleep } from 'node:timers/promises'
import { rowsOf } from '../../client/list/rows.ts'
import type { CallCommand } from '../../model/command.ts'
import { CommandError } from '../../model/errors.ts'
import { isJsonObject } from '../../model/json.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { Portal } from '../portals.ts'
import { rejected, runCommand } from './run.ts'
import { isOurTrouble } from './settle.ts'
import type { Lookup } from './verify.ts'

/** What is known of a write whose end nobody has seen. */
export interface InDoubt {
  /** When it may have left last, by the ledger's clock: milliseconds since 1970. */
  readonly sentAt: number
  /** How often it was sent again already, by whichever process. */
  readonly repeats: number
  /** The outcome to answer with when nothing can be found out. */
  readonly outcome: Outcome
}

export interface Resolving {
  readonly command: CallCommand
  readonly portal: Portal
  /** How it is looked up. */
  readonly lookup?: Lookup
  /** The portal itself tells a repetition by the command's key. */
  readonly keyed: boolean
  /** Sends the write once more. */
  readonly run: () => Promise<Outcome>
  /** The portal may still be at it for so long: it is left alone. */
  readonly quietMs: number
  /** Name of the queue, for taking turns in the lane. */
  readonly source: string
  /** The ledger's clock. */
  readonly now: () => number
  /** Brings the command back after a wait, when it can; see `Aside.park`. */
  readonly park?: (waitMs: number) => Promise<boolean>
  /** Ends the wait: the command is handed back, and whoever gets it goes on. */
  readonly signal: AbortSignal
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** A write is repeated so often at most; a portal that never gives an answer is left alone then. */
const MOST_REPEATS = 3

/**
 * Finds out how a write ended, or ends it. After the quiet period it is looked up: found, it is `done`, with the result
 * that its method would have given; not found, it is sent again, unless that was done three times before. A write that the
 * portal knows by its key is sent again without looking. What cannot be looked up stays `unknown`. Ends as `failed` without
 * an attempt (`ABORTED`, or the ledger is away) when it has to be handed back, as `aside` when it will come again by itself.
 */
export async function resolveDoubt(doubt: InDoubt, how: Resolving): Promise<Outcome | 'aside'> {
  let { sentAt, outcome } = doubt
  for (let { repeats } = doubt; outcome.kind === 'unknown'; repeats++) {
    const isLast = repeats >= MOST_REPEATS
    if (how.lookup === undefined && (!how.keyed || isLast)) return outcome
    // Never longer than the period, whatever became of the clock meanwhile.
    const waitMs = Math.min(how.quietMs, sentAt + how.quietMs - how.now())
    try {
      how.signal.throwIfAborted()
      if (waitMs > 0 && (await how.park?.(waitMs)) === true) return 'aside'
      await quiet(waitMs, how.signal)
    } catch {
      return rejected(new CommandError('ABORTED', 'Withdrawn before its end was known', { status: 499 }))
    }
    const found = how.lookup === undefined ? undefined : await lookUp(how.lookup, how)
    how.log('command.verified', {
      method: how.command.method,
      portal: how.portal.domain,
      found: found?.kind ?? 'keyed',
    })
    if (found?.outcome !== undefined) return found.outcome
    if (found?.kind === 'unsure' || isLast) return outcome
    sentAt = how.now()
    outcome = await how.run()
    // The repetition did not even leave: the first one is still in doubt.
    if (outcome.kind === 'failed' && outcome.attempts === 0)
      return isWithdrawn(outcome) || isOurTrouble(outcome) ? outcome : doubt.outcome
  }
  return outcome
}

interface Found {
  readonly kind: 'row' | 'nothing' | 'unsure' | 'withdrawn'
  readonly outcome?: Outcome
}

async function lookUp({ method, params, resultOf }: Lookup, how: Resolving): Promise<Found> {
  const { portal, source, signal } = how
  const look: CallCommand = { action: 'call', method, params, meta: {}, priority: 'urgent' }
  const seen = await runCommand(look, portal, { source, signal })
  if (isWithdrawn(seen)) return { kind: 'withdrawn', outcome: seen }
  if (seen.kind !== 'done' || seen.result?.action !== 'call') return { kind: 'unsure' }
  const { answer } = seen.result
  const [row] = rowsOf(answer.body.result).rows
  if (row === undefined) return { kind: 'nothing' }
  const body = { result: isJsonObject(row) ? resultOf(row) : row }
  const result = { action: 'call' as const, answer: { ...answer, body } }
  return { kind: 'row', outcome: { kind: 'done', status: 200, attempts: 1, result, verified: true } }
}

async function quiet(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  if (ms > 0) await sleep(ms, undefined, { signal })
}

function isWithdrawn({ failure }: Outcome): boolean {
  return failure?.code === 'ABORTED' || failure?.code === 'CLIENT_CLOSED'
}
