import type { CallSettled, LaneCall, Work } from '../../client/lane/work.ts'
import { collectList } from '../../client/list/pages.ts'
import type { CallOptions } from '../../model/call.ts'
import type { CallCommand, Command, ListCommand } from '../../model/command.ts'
import { BridgeError, CommandError, FaultError } from '../../model/errors.ts'
import { isOnlyV3, isReadMethod } from '../../model/methods.ts'
import type { Failure, Outcome, OutcomeKind } from '../../model/outcome.ts'
import type { Portal } from '../portals.ts'
import { failureOf, statusOf } from './failure.ts'
import { runBatch } from './run-batch.ts'
import { mayHaveRun } from './settle.ts'

/** How commands of one queue are run. */
export interface RunOptions {
  /** Name of the queue or caller, for taking turns in the lane. */
  readonly source: string
  /** Unsent calls are withdrawn when it aborts. */
  readonly signal?: AbortSignal
  /** Runs before each request with the command leaves; see `Work.beforeSend`. */
  readonly beforeSend?: Work['beforeSend']
  /** By which REST v3 tells a repetition of this command. */
  readonly idempotencyKey?: string
  /** It was sent before, and may have run; see `LaneCall.inDoubt`. */
  readonly inDoubt?: boolean
  /** The older programs count rows and keep the order of pages. */
  readonly countLists?: boolean
  /** Characters that all rows of one `list` may have; 100 Mi unless set. */
  readonly maxListBytes?: number
}

/** True when repeating the command can do no harm. */
export function isReadCommand(command: Command): boolean {
  if (command.action === 'list') return true
  if (command.action === 'call') return isReadMethod(command.method)
  return command.entries.every(({ method }) => isReadMethod(method))
}

/**
 * Carries a command out and says how it ended. A command that was withdrawn before it was sent ends with the code
 * `ABORTED` or `CLIENT_CLOSED`; it is for the caller to hand it back. Rejects only when `beforeSend` has a fault, with a
 * `FaultError`, for a command of which nothing was sent.
 */
export async function runCommand(command: Command, portal: Portal, options: RunOptions): Promise<Outcome> {
  const travel: CallOptions = {
    source: options.source,
    credential: portal.credential,
    priority: command.priority ?? (command.action === 'list' ? 'bulk' : 'normal'),
    ...(command.orderKey === undefined ? {} : { orderKey: command.orderKey }),
    ...untilWhen(command, options.signal),
  }
  try {
    switch (command.action) {
      case 'call':
        return await runCall(command, portal, travel, options)
      case 'list':
        return await runList(command, portal, travel, options)
      case 'batch':
        return await runBatch(command, portal, travel, options)
    }
  } catch (error) {
    if (error instanceof FaultError) throw error
    return rejected(error)
  }
}

/** The outcome of a command that could not even be tried, for example because it could not be parsed. */
export function rejected(error: unknown): Outcome {
  const known = error instanceof BridgeError ? error : foreign(error)
  return { kind: 'failed', status: statusOf(known, 500), failure: failureOf(known), attempts: 0 }
}

/** What is left to say when the reply is larger than the queue or the settings allow. */
export function tooLargeToReply(command: Command | undefined, outcome: Outcome): Outcome {
  const changed = mayHaveRun(outcome) && command !== undefined && !isReadCommand(command)
  return {
    kind: changed ? 'unknown' : 'failed',
    status: 413,
    attempts: outcome.attempts,
    failure: {
      code: 'REPLY_TOO_LARGE',
      description: changed
        ? 'The command was carried out, but its reply is too large to be sent'
        : 'The reply is too large to be sent',
      retryable: false,
      hint: 'Ask for less: a filter, fewer fields, smaller batches. The bound is BRIDGE_MAX_BODY, and the broker has one of its own.',
    },
  }
}

/** One call is timed by the lane. What takes several requests is timed as a whole, from its arrival. */
function untilWhen(
  command: Command,
  stop: AbortSignal | undefined,
): Pick<CallOptions, 'deadlineMs' | 'signal'> {
  const { action, deadlineMs } = command
  const timed = action !== 'call' && deadlineMs !== undefined
  const signals = timed ? [AbortSignal.timeout(deadlineMs)] : []
  // A batch that has begun is brought to its end; it is withdrawn only before (`untilSent`).
  if (stop !== undefined && action !== 'batch') signals.push(stop)
  const signal = signals.length > 1 ? AbortSignal.any(signals) : signals[0]
  return {
    ...(signal === undefined ? {} : { signal }),
    ...(deadlineMs === undefined || timed ? {} : { deadlineMs }),
  }
}

function foreign(error: unknown): BridgeError {
  const name = error instanceof Error ? error.name : ''
  if (name === 'AbortError')
    return new CommandError('ABORTED', 'Withdrawn before it was sent', { status: 499 })
  if (name === 'TimeoutError') {
    return new CommandError('DEADLINE_EXCEEDED', 'The deadline passed before the command had ended', {
      status: 504,
      hint: 'Allow more time, or ask for less at once.',
    })
  }
  return new FaultError(error)
}

async function runCall(
  command: CallCommand,
  portal: Portal,
  travel: CallOptions,
  options: RunOptions,
): Promise<Outcome> {
  const { method, params, rawParams, raw } = command
  const settled = await portal.lane.submit({
    calls: [
      {
        method,
        params,
        ...(rawParams === undefined ? {} : { rawParams }),
        ...(raw === undefined ? {} : { raw }),
        ...(isV3(command) ? { api: 'v3' as const, ...keyOf(command, options) } : {}),
      },
    ],
    options: travel,
    ...(options.beforeSend === undefined ? {} : { beforeSend: options.beforeSend }),
  })
  const { answer, error } = settled[0] as CallSettled
  const result = answer === undefined ? {} : { result: { action: 'call' as const, answer } }
  if (error === undefined) return { kind: 'done', status: 200, attempts: answer?.attempts ?? 1, ...result }
  if (error instanceof FaultError) throw error
  return {
    kind: kindOf(error, isReadMethod(method)),
    status: statusOf(error, 504),
    failure: failureOf(error, isReadMethod(method)),
    attempts: answer?.attempts ?? (error.mayHaveRun ? 1 : 0),
    ...result,
  }
}

/** True when the call goes to REST v3. */
export function isV3({ api, method }: CallCommand): boolean {
  return api === 'v3' || isOnlyV3(method)
}

function keyOf(
  { method }: CallCommand,
  { idempotencyKey, inDoubt = false }: RunOptions,
): Pick<LaneCall, 'idempotencyKey' | 'inDoubt'> {
  return idempotencyKey === undefined || isReadMethod(method) ? {} : { idempotencyKey, inDoubt }
}

async function runList(
  command: ListCommand,
  portal: Portal,
  travel: CallOptions,
  options: RunOptions,
): Promise<Outcome> {
  const list = await collectList(portal.lane, command.method, command.params, {
    ...travel,
    ...(options.countLists === true ? { withTotal: true, sameOrder: true } : {}),
    maxBytes: options.maxListBytes ?? 100 * 1024 * 1024,
  })
  const { rows, total, status, missing, requests, answer, error } = list
  if (error !== undefined) {
    const result =
      answer === undefined
        ? { action: 'list' as const, rows, total, status, missing }
        : { action: 'call' as const, answer }
    const attempts = Math.max(1, requests)
    return {
      kind: 'failed',
      status: statusOf(error, status),
      failure: failureOf(error, true),
      attempts,
      result,
    }
  }
  const result = { action: 'list' as const, rows, total, status, missing }
  const gap = missing[0]
  if (gap === undefined) return { kind: 'done', status, result, attempts: requests }
  const failure: Failure = {
    code: 'LIST_INCOMPLETE',
    description: `${missing.length} page(s) could not be read; the first is ${gap.page}: ${gap.description}`,
    retryable: true,
    hint: 'Send the command again; nothing was changed in the portal.',
  }
  return { kind: 'failed', status, result, failure, attempts: requests }
}

function kindOf(error: BridgeError, read: boolean): OutcomeKind {
  return error.mayHaveRun && !read ? 'unknown' : 'failed'
}
