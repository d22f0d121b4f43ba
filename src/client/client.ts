import { randomUUID } from 'node:crypto'
import type { CallOptions } from '../model/call.ts'
import type { BatchEntry } from '../model/command.ts'
import type { Credential } from '../model/credential.ts'
import { type BridgeError, CommandError, ConfigError, FaultError } from '../model/errors.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { parseRequestLimit, type RequestLimit } from '../model/limits.ts'
import { isOnlyV3, isReadMethod } from '../model/methods.ts'
import { parseWebhook, type Webhook, webhookCredential } from '../model/webhook.ts'
import { isBatchable, planGroups } from './batch/group.ts'
import type { LaneStats } from './lane/core.ts'
import { createLane, type Lane, type LaneOptions } from './lane/lane.ts'
import type { Caller, CallSettled, LaneCall, Work } from './lane/work.ts'
import { type ListOptions, rows } from './list/pages.ts'
import { createTransport, type TransportOptions } from './transport.ts'

/** Parameters as callers write them: anything that JSON can carry. */
export type Params = Readonly<Record<string, unknown>> | readonly unknown[]

export interface ClientOptions
  extends TransportOptions,
    Omit<LaneOptions, 'transport' | 'credential' | 'limit'> {
  /** An incoming webhook: `https://example.bitrix24.com/rest/1/abc123def456/`. */
  readonly webhook?: string | Webhook
  /** Instead of a webhook: any other way to authorize, such as `createOAuthCredential` gives. */
  readonly credential?: Credential
  /** `standard` (50/2, the default), `enterprise` (250/5), `off`, `X/Y`, or the numbers. */
  readonly limit?: string | RequestLimit | null
}

/** How a named batch ended: each name is in `results` or in `errors`, never in both. */
export interface BatchAnswer {
  readonly results: Readonly<Record<string, unknown>>
  readonly errors: Readonly<Record<string, BridgeError>>
  /** `total` of each list in the batch. */
  readonly totals: Readonly<Record<string, number>>
  /** All there is to know of each name. */
  readonly settled: Readonly<Record<string, CallSettled>>
}

/** One command of a named batch: a method, and its parameters. */
export type BatchInput = readonly [method: string, params?: Params]

/** A portal, ready to be called. Calls made together travel together; nothing needs to be batched by hand. */
export interface Client extends Caller {
  /**
   * The `result` of one method.
   *
   * Throws a `RestError` when the portal refuses, a `TransportError` when there is no usable answer (`mayHaveRun`
   * tells whether the portal may have acted), a `CommandError` for a bad method name, a passed deadline or a closed
   * client. Limits are waited out, not thrown.
   */
  call<T = unknown>(method: string, params?: Params, options?: CallOptions): Promise<T>
  /** The whole answer of one method, refusals included; never throws. */
  send(method: string, params?: Params, options?: CallOptions): Promise<CallSettled>
  /**
   * Calls several methods by name, in order, with `ref()` from one to another. More than 50 are cut into requests
   * of 50; references must stay within one such run. With `halt` everything behind the first failure is not run.
   */
  batch(
    commands: Readonly<Record<string, BatchInput>>,
    options?: CallOptions & { readonly halt?: boolean },
  ): Promise<BatchAnswer>
  /** Every row of a list, read ahead only a little; rows come in the order of the walk. See docs/lists.md. */
  list<T = JsonObject>(method: string, params?: Params, options?: ListOptions): AsyncIterable<T>
  stats(): LaneStats
  /** Waits for requests under way and closes the connections; calls that still wait fail with `CLIENT_CLOSED`. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * A reference to the result of an earlier command of the same batch: `ref('user', 'UF_DEPARTMENT', 0)`.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/batch.html
 */
export function ref(name: string, ...path: (string | number)[]): string {
  return `$result[${name}]${path.map((part) => `[${part}]`).join('')}`
}

/**
 * A client for one portal. Does no I/O; throws a `CommandError` or `ConfigError` at once when the webhook address or
 * the limit cannot be read.
 */
export function createClient(options: ClientOptions): Client {
  const { webhook, credential: given, limit: asked, ...rest } = options
  const credential = given ?? webhookCredential(readWebhook(webhook))
  const limit = readLimit(asked)
  const transport = createTransport({ connections: options.maxInFlight ?? 10, ...rest })
  const lane = createLane({ ...rest, transport, credential, ...(limit === undefined ? {} : { limit }) })
  const close = async (): Promise<void> => {
    await lane.close()
    await transport.close()
  }
  return { ...clientOver(lane), stats: () => lane.stats(), close, [Symbol.asyncDispose]: close }
}

/** The calling part of a client over any lane; for programs that keep their lanes themselves. */
export function clientOver(
  lane: Pick<Lane, 'submit'>,
): Pick<Client, 'call' | 'send' | 'batch' | 'list' | 'submit'> {
  const submit = (work: Work): Promise<readonly CallSettled[]> => lane.submit(work)
  const send: Client['send'] = async (method, params = {}, options) => {
    const work = {
      calls: [{ method, params: plainJson(params), ...versionOf(method, options) }],
      ...(options === undefined ? {} : { options }),
    }
    return (await submit(work))[0] as CallSettled
  }
  return {
    submit,
    send,
    async call<T>(method: string, params?: Params, options?: CallOptions): Promise<T> {
      const { answer, error } = await send(method, params, options)
      if (error !== undefined) throw error
      return answer?.body.result as T
    },
    async batch(commands, options = {}) {
      const entries = Object.entries(commands).map(([name, [method, params]]): BatchEntry => {
        return { name, method, params: plainJson(params ?? {}) }
      })
      return summarize(await submitBatch(lane, entries, options))
    },
    list: <T>(method: string, params: Params = {}, options?: ListOptions) =>
      rows(lane, method, plainJson(params) as JsonObject, options) as AsyncIterable<T>,
  }
}

/** Where the call goes; a write to REST v3 always has a key, so that it can be repeated when its answer is lost. */
function versionOf(
  method: string,
  { api, idempotencyKey }: CallOptions = {},
): Pick<LaneCall, 'api' | 'idempotencyKey'> {
  if (api !== 'v3' && !isOnlyV3(method)) return {}
  return isReadMethod(method) ? { api: 'v3' } : { api: 'v3', idempotencyKey: idempotencyKey ?? randomUUID() }
}

/**
 * Runs the entries of an explicit batch group by group, in order. Each name gets its end; with `halt`, names behind
 * a failure end with `BATCH_HALTED`. What `beforeSend` has refused is not skipped: it holds up all that comes behind it.
 */
export async function submitBatch(
  caller: Caller,
  entries: readonly BatchEntry[],
  options: CallOptions & {
    readonly halt?: boolean
    readonly beforeSend?: Work['beforeSend']
    /**
     * Asked when `beforeSend` has refused calls, whether to try those again; after a pause. `sent`: others before them were
     * sent. Without it, or on false, the rest of the batch ends with the same error.
     */
    readonly holds?: (error: BridgeError, sent: boolean) => Promise<boolean>
    /** Withdraws the batch before its first request leaves; later it has no effect. */
    readonly untilSent?: AbortSignal
  },
): Promise<{ readonly name: string; readonly settled: CallSettled }[]> {
  const { halt = false, beforeSend, holds, untilSent, ...callOptions } = options
  const ended: { name: string; settled: CallSettled }[] = []
  let failed = false
  let sent = false
  let refused: BridgeError | undefined
  const announced = beforeSend && noting(beforeSend)
  const submitOnce = async (work: Omit<Work, 'options'>): Promise<readonly CallSettled[]> => {
    const options = sent || untilSent === undefined ? callOptions : withSignal(callOptions, untilSent)
    const settled = await caller.submit({
      ...work,
      options,
      ...(announced === undefined ? {} : { beforeSend: announced.run }),
    })
    sent ||= settled.some(({ error }) => error?.code !== 'ABORTED' && !announced?.hasRefused(error))
    return settled
  }
  const submit = async (work: Omit<Work, 'options'>): Promise<readonly CallSettled[]> => {
    if (refused !== undefined) return work.calls.map(() => ({ error: refused as BridgeError }))
    const settled = [...(await submitOnce(work))]
    for (;;) {
      const unsent = [...settled.keys()].filter((index) => announced?.hasRefused(settled[index]?.error))
      const error = settled[unsent[0] ?? -1]?.error
      if (error === undefined) return settled
      if ((await holds?.(error, sent)) !== true) {
        refused = error
        return settled
      }
      const again = await submitOnce({ ...work, calls: unsent.map((index) => work.calls[index] as LaneCall) })
      for (const [i, index] of unsent.entries()) settled[index] = again[i] as CallSettled
    }
  }
  for (const group of planGroups(entries, halt)) {
    const settled =
      failed && halt ? group.calls.map(() => ({ error: halted() })) : await submitGroup(submit, group, halt)
    for (let i = 0; i < group.names.length; i++) {
      const one = settled[i] as CallSettled
      if (one.error !== undefined) failed = true
      ended.push({ name: group.names[i] as string, settled: one })
    }
  }
  return ended
}

/** The same hook, and whether an error is one that it has rejected with. */
function noting(beforeSend: NonNullable<Work['beforeSend']>): {
  readonly run: NonNullable<Work['beforeSend']>
  hasRefused(error: unknown): boolean
} {
  const refusals = new WeakSet<object>()
  return {
    run: () =>
      beforeSend()?.catch((error: unknown) => {
        if (error instanceof Error) refusals.add(error)
        throw error
      }),
    hasRefused: (error) => error instanceof FaultError || (error instanceof Error && refusals.has(error)),
  }
}

function withSignal(options: CallOptions, signal: AbortSignal): CallOptions {
  return {
    ...options,
    signal: options.signal === undefined ? signal : AbortSignal.any([options.signal, signal]),
  }
}

async function submitGroup(
  submit: (work: Omit<Work, 'options'>) => Promise<readonly CallSettled[]>,
  group: ReturnType<typeof planGroups>[number],
  halt: boolean,
): Promise<readonly CallSettled[]> {
  if (group.isolated) return submit({ calls: group.calls, isolated: true, halt })
  // What cannot be written as a query travels alone; the rest stays together around it, in order.
  const settled: CallSettled[] = []
  for (let from = 0; from < group.calls.length; ) {
    let to = from + 1
    if (isBatchable(group.calls[from] as LaneCall)) {
      while (to < group.calls.length && isBatchable(group.calls[to] as LaneCall)) to++
    }
    settled.push(...(await submit({ calls: group.calls.slice(from, to) })))
    from = to
  }
  return settled
}

function halted(): CommandError {
  return new CommandError('BATCH_HALTED', 'Not run, because an earlier command of the batch failed', {
    status: 424,
  })
}

function summarize(ended: readonly { readonly name: string; readonly settled: CallSettled }[]): BatchAnswer {
  const results: Record<string, unknown> = {}
  const errors: Record<string, BridgeError> = {}
  const totals: Record<string, number> = {}
  const settled: Record<string, CallSettled> = {}
  for (const { name, settled: one } of ended) {
    settled[name] = one
    if (one.error !== undefined) errors[name] = one.error
    else results[name] = one.answer?.body.result
    const total = one.answer?.body.total
    if (typeof total === 'number') totals[name] = total
  }
  return { results, errors, totals, settled }
}

/** Dates become ISO text and `undefined` members vanish, as in `JSON.stringify`. */
function plainJson(params: Params): JsonObject | readonly Json[] {
  return needsRounding(params) ? JSON.parse(JSON.stringify(params)) : (params as JsonObject)
}

function needsRounding(value: unknown): boolean {
  if (value === undefined || typeof value === 'bigint') return true
  if (typeof value !== 'object' || value === null)
    return typeof value === 'function' || typeof value === 'symbol'
  if ('toJSON' in value) return true
  return Object.values(value).some(needsRounding)
}

function readWebhook(webhook: ClientOptions['webhook']): Webhook {
  if (webhook === undefined) throw new ConfigError(['createClient needs a webhook, or a credential'])
  return typeof webhook === 'string' ? parseWebhook(webhook) : webhook
}

function readLimit(limit: ClientOptions['limit']): RequestLimit | null | undefined {
  if (typeof limit !== 'string') return limit
  const parsed = parseRequestLimit(limit)
  if (parsed !== undefined) return parsed
  throw new ConfigError([
    `limit must be standard, enterprise, off or X/Y such as 50/2, not ${JSON.stringify(limit)}`,
  ])
}
