import { setTimeout as sleep } from 'node:timers/promises'
import { submitBatch } from '../../client/client.ts'
import type { CallSettled, LaneCall, Work } from '../../client/lane/work.ts'
import { collectList } from '../../client/list/pages.ts'
import type { CallOptions } from '../../model/call.ts'
import type { BatchCommand, CallCommand, Command, ListCommand } from '../../model/command.ts'
import { BridgeError, CommandError, FaultError, StoreError, TransportError } from '../../model/errors.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { isOnlyV3, isReadMethod } from '../../model/methods.ts'
import type { BatchChunk, Failure, Outcome, OutcomeKind } from '../../model/outcome.ts'
import type { Portal } from '../portals.ts'
import { isPassing, mayHaveRun } from './settle.ts'

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

async function runBatch(
  command: BatchCommand,
  portal: Portal,
  travel: CallOptions,
  options: RunOptions,
): Promise<Outcome> {
  const ended = await submitBatch(portal.lane, command.entries, {
    ...travel,
    halt: command.halt,
    ...(options.signal === undefined ? {} : { untilSent: options.signal }),
    ...(options.beforeSend === undefined ? {} : { beforeSend: options.beforeSend }),
    holds: holdRest([options.signal, travel.signal]),
  })
  const chunks: BatchChunk[] = []
  for (let from = 0; from < ended.length; from += 50) chunks.push(chunkOf(ended.slice(from, from + 50)))
  const result = { action: 'batch' as const, chunks }
  const attempts = Math.max(0, ...ended.map(({ settled }) => settled.answer?.attempts ?? 0))
  const methods = new Map(command.entries.map(({ name, method }) => [name, method]))
  const isWrite = (name: string): boolean => !isReadMethod(methods.get(name) ?? '')
  const unsure = ended.find(({ name, settled }) => settled.error?.mayHaveRun === true && isWrite(name))
  const answered = ended.some(({ settled }) => settled.answer !== undefined)
  const error = unsure?.settled.error ?? (answered ? undefined : ended[0]?.settled.error)
  if (error instanceof FaultError) throw error
  const unsent = ended.filter(({ settled }) => wasUnsent(settled))
  if (error === undefined && unsent.length > 0) {
    const written = ended.some(({ name, settled }) => settled.error === undefined && isWrite(name))
    const failure = incomplete(unsent.length, ended.length)
    return {
      kind: 'failed',
      status: 504,
      result,
      failure,
      attempts,
      ...(written ? { inPart: true } : {}),
    }
  }
  if (error === undefined) return { kind: 'done', status: 200, result, attempts }
  const kind = unsure === undefined ? 'failed' : 'unknown'
  return { kind, status: statusOf(error, 504), result, failure: failureOf(error), attempts }
}

/** True for a command of a batch that was never sent, although others before it were. */
function wasUnsent({ answer, error }: CallSettled): boolean {
  if (answer !== undefined || error === undefined) return false
  const isUnreachable = error instanceof TransportError && error.sent === false
  return isUnreachable || isPassing(error) || WITHDRAWN.has(error.code) || error instanceof FaultError
}

const WITHDRAWN = new Set(['ABORTED', 'CLIENT_CLOSED', 'DEADLINE_EXCEEDED'])

function incomplete(unsent: number, all: number): Failure {
  return {
    code: 'BATCH_INCOMPLETE',
    description: `${unsent} of ${all} commands were not sent; the others were`,
    retryable: false,
    hint: 'Send those again that have an error of their own, under a new id; the others are done.',
  }
}

/**
 * For the rest of a batch that has begun: while the store is away it waits, for five minutes at most and not longer than
 * one of the signals allows. What another process has taken over meanwhile is not ours any more.
 */
function holdRest(
  signals: readonly (AbortSignal | undefined)[],
): (error: BridgeError, sent: boolean) => Promise<boolean> {
  let until: AbortSignal | undefined
  return async (error, sent) => {
    if (!sent || !(error instanceof StoreError)) return false
    until ??= AbortSignal.any([
      AbortSignal.timeout(MOST_HELD_MS),
      ...signals.filter((signal) => signal !== undefined),
    ])
    return sleep(PAUSE_MS, true, { signal: until }).catch(() => false)
  }
}

const MOST_HELD_MS = 300_000
const PAUSE_MS = 1000

function chunkOf(ended: readonly { readonly name: string; readonly settled: CallSettled }[]): BatchChunk {
  const result: Record<string, Json> = {}
  const result_error: Record<string, Json> = {}
  const result_total: Record<string, Json> = {}
  const result_next: Record<string, Json> = {}
  const result_time: Record<string, Json> = {}
  for (const { name, settled } of ended) {
    const { answer, error } = settled
    if (error?.code === 'BATCH_HALTED') continue
    if (error !== undefined) {
      result_error[name] = answer?.body ?? { error: error.code, error_description: error.message }
      continue
    }
    const body = answer?.body as JsonObject
    result[name] = body.result as Json
    if (body.total !== undefined) result_total[name] = body.total
    if (body.next !== undefined) result_next[name] = body.next
    if (body.time !== undefined) result_time[name] = body.time
  }
  const time = ended.find(({ settled }) => settled.answer?.requestTime !== undefined)?.settled.answer
    ?.requestTime
  const maps = { result, result_error, result_total, result_next, result_time }
  return {
    status: 200,
    names: ended.map(({ name }) => name),
    body: { result: maps, ...(time === undefined ? {} : { time }) },
  }
}

function kindOf(error: BridgeError, read: boolean): OutcomeKind {
  return error.mayHaveRun && !read ? 'unknown' : 'failed'
}

function statusOf(error: BridgeError, fallback: number): number {
  const status = (error as { status?: unknown }).status
  return typeof status === 'number' && status >= 400 ? status : fallback
}

/** `harmless`: repeating the command changes nothing, so even an answer that got lost is no reason not to. */
function failureOf(error: BridgeError, harmless = false): Failure {
  const description = (error as { description?: unknown }).description
  return {
    code: error.code,
    description: typeof description === 'string' && description !== '' ? description : error.message,
    retryable: error.retryable || (harmless && error.mayHaveRun),
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  }
}
