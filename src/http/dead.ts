import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { LetterEdit } from '../bridge/dead/edit.ts'
import type { DeadLetters } from '../bridge/dead/letters.ts'
import { type LetterRefusalCode, refuseLetter } from '../bridge/dead/refusals.ts'
import { MOST_LETTERS, RATE_PER_SECOND } from '../bridge/dead/retry-many.ts'
import { contentFacts, letterFacts, originalFacts } from '../bridge/dead/view.ts'
import type { LetterFilter } from '../model/dead-letter.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { Asker } from './access.ts'

/** What the routes for dead letters work with. */
export interface DeadRoutes {
  /** `undefined` where letters stay in their queue. */
  readonly letters: DeadLetters | undefined
  /** Throws unless this caller may see and send letters: the rule is that of commands. */
  readonly guard: (asker: Asker) => void
}

const LETTERS_A_PAGE = 100
const MOST_A_PAGE = 1000
const name = z.string().min(1).max(255)
const moment = z
  .string()
  .regex(/^\d{4}-\d\d-\d\d/)
  .transform((text) => Date.parse(text))
  .refine((at) => Number.isFinite(at))
const FILTER_PARTS = {
  state: z.enum(['open', 'retried', 'all']).optional(),
  reason: name.optional(),
  portal: name.optional(),
  method: name.optional(),
  queue: name.optional(),
  since: moment.optional(),
  until: moment.optional(),
}
const FILTER = z.strictObject(FILTER_PARTS)
const LIST = z.strictObject({
  ...FILTER_PARTS,
  after: z.string().max(100).optional(),
  limit: z.coerce.number().int().min(1).max(MOST_A_PAGE).optional(),
})
const EXPORT = z.strictObject({ ...FILTER_PARTS, original: z.enum(['0', '1']).optional() })
const HOW = {
  by: z.string().min(1).max(100).optional(),
  new_id: z.boolean().optional(),
  queue: name.optional(),
  again: z.boolean().optional(),
  dry_run: z.boolean().optional(),
}
const EDIT = z.strictObject({
  body: z.string().optional(),
  method: name.optional(),
  params: z.union([z.record(z.string(), z.unknown()), z.array(z.unknown())]).optional(),
  headers: z.record(z.string(), z.union([z.string(), z.null()])).optional(),
})
const RETRY = z.strictObject({ ...HOW, edit: EDIT.optional() })
const RETRY_MANY = z.strictObject({
  ...HOW,
  filter: FILTER,
  rate_per_second: z.number().positive().max(10_000).default(RATE_PER_SECOND),
  limit: z.number().int().min(1).max(1_000_000).default(MOST_LETTERS),
})

const DROP_MANY = z.strictObject({
  by: HOW.by,
  filter: FILTER,
  limit: z.number().int().min(1).max(1_000_000).default(MOST_LETTERS),
  // There is no way back.
  dry_run: z.boolean().default(true),
})

/** `/v1/dead`: what was set aside, for operators; see `docs/dead-letters.md`. */
export function addDeadRoutes(server: FastifyInstance, { letters: known, guard }: DeadRoutes): void {
  const onRequest = async (request: FastifyRequest): Promise<void> =>
    guard({ address: request.socket.remoteAddress, headers: request.headers })
  const letters = (): DeadLetters => {
    if (known === undefined) throw refuseLetter('DEAD_LETTERS_IN_QUEUE')
    return known
  }
  server.get('/v1/dead', { onRequest }, async ({ query }) => {
    const { after, limit = LETTERS_A_PAGE, ...filter } = read(LIST, query, 'FILTER_INVALID')
    const page = await letters().list(filterOf(filter), { limit, ...(after === undefined ? {} : { after }) })
    return { letters: page.letters.map((one) => snaked(letterFacts(one))), next: page.next ?? null }
  })
  server.get('/v1/dead/export', { onRequest }, async ({ query }, reply) => {
    const { original, ...filter } = read(EXPORT, query, 'FILTER_INVALID')
    const lines = exported(letters(), filterOf(filter), original === '1')
    return reply.type('application/x-ndjson; charset=utf-8').send(Readable.from(lines))
  })
  server.get<{ Params: { id: string } }>('/v1/dead/:id', { onRequest }, async ({ params }) => {
    const { letter, content } = await letters().show(params.id)
    return { ...snaked(letterFacts(letter)), ...snaked(contentFacts(content)) }
  })
  server.post('/v1/dead/retry', { onRequest }, async (request, reply) => {
    const {
      filter,
      rate_per_second: ratePerSecond,
      limit,
      ...how
    } = read(RETRY_MANY, bodyOf(request, 'RETRY_INVALID'), 'RETRY_INVALID')
    const options = { ...howOf(how, request), ratePerSecond, limit, signal: hangUp(reply) }
    const { problems, sent, wouldSend, skipped, failed, whole } = await letters().retryMany(
      filterOf(filter),
      options,
    )
    return {
      sent,
      would_send: wouldSend,
      skipped,
      failed,
      whole,
      problems: problems.map(({ letter, end, code, why }) => ({ id: letter.id, end, code, why })),
    }
  })
  server.post('/v1/dead/drop', { onRequest }, async (request, reply) => {
    const {
      by,
      filter,
      limit,
      dry_run: dryRun,
    } = read(DROP_MANY, bodyOf(request, 'DROP_INVALID'), 'DROP_INVALID')
    const options = { by: operator(request, by), limit, dryRun, signal: hangUp(reply) }
    const { dropped, wouldDrop, whole } = await letters().dropMany(filterOf(filter), options)
    return { dropped, would_drop: wouldDrop, whole }
  })
  server.post<{ Params: { id: string } }>('/v1/dead/:id/retry', { onRequest }, async (request) => {
    const { edit, ...how } = read(RETRY, bodyOf(request, 'RETRY_INVALID'), 'RETRY_INVALID')
    const options = { ...howOf(how, request), ...(edit === undefined ? {} : { edit: editOf(edit) }) }
    const { letter, address, message } = await letters().retry(request.params.id, options)
    return {
      sent: how.dry_run !== true,
      id: letter.id,
      message_id: message.messageId ?? null,
      exchange: address.exchange,
      routing_key: address.routingKey,
    }
  })
  server.delete<{ Params: { id: string } }>('/v1/dead/:id', { onRequest }, async (request, reply) => {
    await letters().drop(request.params.id, operator(request))
    return reply.code(204).send()
  })
}

/** The value, checked. What is wrong is told by the code alone: the value may hold what nobody should repeat. */
function read<T>(schema: z.ZodType<T>, value: unknown, code: LetterRefusalCode): T {
  const { data, success } = schema.safeParse(value)
  if (!success) throw refuseLetter(code)
  return data
}

function bodyOf({ body }: FastifyRequest, code: LetterRefusalCode): unknown {
  if (!Buffer.isBuffer(body) || body.length === 0) return {}
  try {
    return JSON.parse(body.toString('utf8')) as unknown
  } catch {
    throw refuseLetter(code)
  }
}

function filterOf({ state = 'open', ...rest }: z.infer<typeof FILTER>): LetterFilter {
  const { reason } = rest
  return {
    ...given(rest),
    ...(reason === undefined ? {} : { reason: reason.toUpperCase() }),
    ...(state === 'all' ? {} : { state }),
  }
}

function howOf(how: Omit<z.infer<typeof RETRY>, 'edit'>, request: FastifyRequest) {
  const { by, new_id: newId, dry_run: dryRun, queue, again } = how
  return { by: operator(request, by), ...given({ newId, dryRun, queue, again }) }
}

function editOf({ body, method, params, headers }: z.infer<typeof EDIT>): LetterEdit {
  return {
    ...given({ method, headers }),
    ...(body === undefined ? {} : { body: Buffer.from(body) }),
    ...(params === undefined ? {} : { params: params as JsonObject | readonly Json[] }),
  }
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

function given<T extends object>(parts: T): Given<T> {
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined)) as Given<T>
}

/** For the record: the name that the caller gave, or where he is. */
function operator({ socket }: FastifyRequest, by?: string): string {
  return `http:${by ?? socket.remoteAddress ?? 'unknown'}`
}

/** Aborts when the caller is gone. */
function hangUp(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  return gone.signal
}

async function* exported(
  letters: DeadLetters,
  filter: LetterFilter,
  original: boolean,
): AsyncGenerator<string> {
  for await (const { letter, content } of letters.each(filter)) {
    const message = original ? originalFacts(content) : contentFacts(content)
    yield `${JSON.stringify({ ...snaked(letterFacts(letter)), ...snaked(message) })}\n`
  }
}

/** Names as the other routes write them; what is inside belongs to somebody else and stays. */
function snaked(facts: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(facts).map(([word, value]) => [
      word.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      word === 'target' && value !== null ? snaked(value as JsonObject) : value,
    ]),
  )
}
