import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import qs from 'qs'
import type { Caller, CallSettled, Work } from '../../../src/client/lane/work.ts'
import { BridgeError, RestError, TransportError } from '../../../src/model/errors.ts'
import type { Json, JsonObject } from '../../../src/model/json.ts'

/** A list of the portal. Rows are kept by id ascending; `changing` may alter them between pages. */
export interface TestList {
  rows: JsonObject[]
  wrapper?: string
  /** Id field in rows, and in filter and order. */
  id: string
  requestId?: string
  filter?: string
  /** Faults of the portal: it ignores the order, the filter, or never says `total`. */
  ignoresFilter?: boolean
  ignoresOrder?: boolean
  hidesTotal?: boolean
  /** Gives all rows at once, whatever `start` says. */
  unpaged?: boolean
  /** Seconds that a page claims to take. */
  seconds?: number
}

/** What a test may do to a page before it is answered: change the rows, refuse it, or cut the connection. */
export type BeforePage = (page: {
  method: string
  params: JsonObject
  nth: number
}) => { error: string; status?: number } | 'cut' | undefined

/** A small portal over HTTP that knows lists and `batch` with references, and counts what it is asked. */
export interface TestPortal extends AsyncDisposable {
  readonly caller: Caller
  readonly url: string
  readonly lists: Record<string, TestList>
  readonly requests: { method: string; pages: number }[]
  readonly pages: { method: string; params: JsonObject }[]
  beforePage: BeforePage
}

/** Starts a portal with these lists. */
export async function startPortal(lists: Record<string, TestList>): Promise<TestPortal> {
  const requests: TestPortal['requests'] = []
  const pages: TestPortal['pages'] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const method = (request.url ?? '').split('/').at(-1) ?? ''
    const params = JSON.parse(text || '{}') as JsonObject
    try {
      if (method !== 'batch') {
        requests.push({ method, pages: 1 })
        const { status, body } = answer(method, params)
        response.writeHead(status).end(JSON.stringify(body))
        return
      }
      const commands = Object.entries(params.cmd as Record<string, string>)
      requests.push({ method, pages: commands.length })
      response.writeHead(200).end(JSON.stringify(batch(commands, Boolean(params.halt))))
    } catch {
      response.destroy()
    }
  })
  // A connection that is closed while idle would be one more fault, and an unwanted one.
  server.keepAliveTimeout = 60_000
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/rest/1/s3cr3t/`
  const portal: TestPortal = {
    caller: httpCaller(url),
    url,
    lists,
    requests,
    pages,
    beforePage: () => undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }

  function answer(method: string, params: JsonObject): { status: number; body: JsonObject } {
    pages.push({ method, params })
    const fault = portal.beforePage({ method, params, nth: pages.length })
    if (fault === 'cut') throw new Error('cut')
    if (fault !== undefined)
      return {
        status: fault.status ?? 400,
        body: { error: fault.error, error_description: 'Asked for by the test' },
      }
    const list = lists[method]
    if (list === undefined)
      return { status: 404, body: { error: 'ERROR_METHOD_NOT_FOUND', error_description: '' } }
    return { status: 200, body: { ...page(list, params), time: { duration: list.seconds ?? 0.001 } } }
  }

  function batch(commands: [string, string][], halt: boolean): JsonObject {
    const result: Record<string, Json> = {}
    const errors: Record<string, Json> = {}
    const total: Record<string, Json> = {}
    const next: Record<string, Json> = {}
    const time: Record<string, Json> = {}
    for (const [name, command] of commands) {
      const mark = command.indexOf('?')
      const method = mark < 0 ? command : command.slice(0, mark)
      const query = mark < 0 ? {} : qs.parse(command.slice(mark + 1), { depth: 20, arrayLimit: 1000 })
      const { body } = answer(method, resolve(query as Json, result) as JsonObject)
      if (body.error !== undefined) {
        errors[name] = body
        if (halt) break
        continue
      }
      result[name] = body.result ?? null
      if (body.total !== undefined) total[name] = body.total
      if (body.next !== undefined) next[name] = body.next
      time[name] = body.time ?? {}
    }
    const sections = {
      result,
      result_error: errors,
      result_total: total,
      result_next: next,
      result_time: time,
    }
    return { result: sections, time: { duration: 0.01 } }
  }

  return portal
}

/** The page a list gives, by the rules of the portal. */
function page(list: TestList, params: JsonObject): JsonObject {
  const requestId = list.requestId ?? list.id
  const filter = (params[list.filter ?? 'filter'] ?? {}) as JsonObject
  const order = params.order ?? params.sort
  const after = filter[`>${requestId}`]
  const idOf = (row: JsonObject): number => Number(row[list.id])
  let rows = list.rows
  // A degenerate reference arrives as an array or object; this portal then matches everything.
  if (!list.ignoresFilter && (typeof after === 'string' || typeof after === 'number'))
    rows = rows.filter((row) => idOf(row) > Number(after))
  if (list.ignoresOrder) rows = [...rows].reverse()
  else if (order !== undefined && JSON.stringify(order).toUpperCase().includes('DESC'))
    rows = [...rows].reverse()
  if (list.unpaged) return { result: list.wrapper ? { [list.wrapper]: rows } : rows, total: rows.length }
  const start = Number(params.start ?? 0)
  const found = rows.slice(Math.max(0, start), Math.max(0, start) + 50)
  const more = start >= 0 && start + 50 < rows.length
  return {
    result: list.wrapper && found.length > 0 ? { [list.wrapper]: found } : found,
    ...(list.hidesTotal ? {} : { total: start < 0 ? 0 : rows.length }),
    ...(more ? { next: start + 50 } : {}),
  }
}

/** Replaces `$result[…]` references; a missing path gives the deepest level that exists, as the portal does. */
function resolve(value: Json, results: JsonObject): Json {
  if (typeof value === 'string' && value.startsWith('$result')) {
    let at: Json = results
    for (const [, key] of value.matchAll(/\[([^\]]*)\]/g)) {
      const inner: Json | undefined =
        typeof at === 'object' && at !== null ? (at as JsonObject)[key ?? ''] : undefined
      if (inner === undefined) break
      at = inner
    }
    return at
  }
  if (Array.isArray(value)) return value.map((item) => resolve(item, results))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolve(inner, results)]))
}

/** The plainest road to a portal: one call is one request, a group is one `batch`. */
export function httpCaller(url: string): Caller {
  async function post(method: string, params: unknown): Promise<{ status: number; body: JsonObject }> {
    const response = await fetch(url + method, { method: 'POST', body: JSON.stringify(params) })
    return { status: response.status, body: (await response.json()) as JsonObject }
  }
  function settle(status: number, body: JsonObject): CallSettled {
    const answer = { status, body, attempts: 1 }
    if (body.error === undefined) return { answer }
    return { answer, error: new RestError(String(body.error), String(body.error_description), status) }
  }
  return {
    async submit({ calls, halt, options }: Work): Promise<readonly CallSettled[]> {
      const [call] = calls
      if (options?.signal?.aborted) return calls.map(() => ({ error: new BridgeError('ABORTED', 'Aborted') }))
      try {
        if (call !== undefined && calls.length === 1) {
          const { status, body } = await post(call.method, call.params)
          return [settle(status, body)]
        }
        const names = calls.map(({ name }, index) => name ?? `n${index}`)
        const cmd = Object.fromEntries(
          calls.map(({ method, params }, index) => [names[index], `${method}?${qs.stringify(params)}`]),
        )
        const { body } = await post('batch', { cmd, halt: halt ? 1 : 0 })
        const maps = body.result as Record<string, Record<string, Json>>
        return names.map((name) => {
          const failure = maps.result_error?.[name] as JsonObject | undefined
          if (failure !== undefined) return settle(400, failure)
          const result = maps.result?.[name]
          if (result === undefined) return { error: new BridgeError('BATCH_HALTED', 'Not run') }
          const extra = { total: maps.result_total?.[name], next: maps.result_next?.[name] }
          const given = Object.entries(extra).filter(([, value]) => value !== undefined) as [string, Json][]
          return settle(200, { result, ...Object.fromEntries(given), time: maps.result_time?.[name] ?? {} })
        })
      } catch (cause) {
        const error = new TransportError('CONNECTION_LOST', 'The connection ended.', { sent: 'maybe', cause })
        return calls.map(() => ({ error }))
      }
    },
  }
}

/** Rows with ids 1…count, as the old CRM methods write them; every `hole`-th id is missing. */
export function deals(count: number, hole = 0): JsonObject[] {
  const rows: JsonObject[] = []
  for (let id = 1; rows.length < count; id++) {
    if (hole === 0 || id % hole !== 0) rows.push({ ID: String(id), TITLE: `Deal ${id}` })
  }
  return rows
}
