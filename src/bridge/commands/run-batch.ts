import { setTimeout as sleep } from 'node:timers/promises'
import { submitBatch } from '../../client/client.ts'
import type { CallSettled } from '../../client/lane/work.ts'
import type { CallOptions } from '../../model/call.ts'
import type { BatchCommand } from '../../model/command.ts'
import { type BridgeError, FaultError, StoreError, TransportError } from '../../model/errors.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { isReadMethod } from '../../model/methods.ts'
import type { BatchChunk, Failure, Outcome } from '../../model/outcome.ts'
import type { Portal } from '../portals.ts'
import { failureOf, statusOf } from './failure.ts'
import type { RunOptions } from './run.ts'
import { isPassing } from './settle.ts'

/**
 * A batch of any size. Once its first request has left it is brought to its end; where that is not possible it is
 * `BATCH_INCOMPLETE`, and `inPart` when something was written. Rejects as `runCommand`.
 */
export async function runBatch(
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
