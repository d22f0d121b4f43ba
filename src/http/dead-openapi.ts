import { LETTER_REFUSALS } from '../bridge/dead/refusals.ts'
import { MOST_LETTERS, RATE_PER_SECOND } from '../bridge/dead/retry-many.ts'

/** The part of the OpenAPI description about dead letters; what each field means stands in `docs/dead-letters.md`. */
export function deadPaths(): Record<string, unknown> {
  const id = { name: 'id', in: 'path', required: true, description: 'Of the letter.', schema: TEXT }
  const page = [
    query('after', '`next` of the page before.'),
    query('limit', '100 unless given, 1000 at most.'),
  ]
  return {
    '/v1/dead': {
      get: {
        operationId: 'listDeadLetters',
        summary: 'Dead letters, the newest first.',
        security: TOKEN,
        parameters: [...FILTER.map(([name, about]) => query(name, about)), ...page],
        responses: { 200: json('The letters, and `next` for `after`.'), ...refusals([400, 409]) },
      },
    },
    '/v1/dead/export': {
      get: {
        operationId: 'exportDeadLetters',
        summary: 'Dead letters with their messages, one JSON a line, the oldest first.',
        security: TOKEN,
        parameters: [
          ...FILTER.map(([name, about]) => query(name, about)),
          query('original', '1: bodies to the byte as base64, nothing masked in them.'),
        ],
        responses: {
          200: { description: 'The letters.', content: { 'application/x-ndjson': { schema: TEXT } } },
          ...refusals([400, 409]),
        },
      },
    },
    '/v1/dead/retry': {
      post: {
        operationId: 'retryDeadLetters',
        summary: 'Send all letters again that fit; the answer comes when it is done, hanging up ends it.',
        security: TOKEN,
        requestBody: body({
          ...HOW,
          filter: FILTER_OBJECT,
          rate_per_second: { type: 'number', default: RATE_PER_SECOND },
          limit: { type: 'integer', default: MOST_LETTERS },
        }),
        responses: { 200: json('How many were sent, skipped, failed, and why.'), ...refusals([400, 409]) },
      },
    },
    '/v1/dead/drop': {
      post: {
        operationId: 'dropDeadLetters',
        summary: 'Forget all letters for good that fit; drops nothing unless `dry_run` is false.',
        security: TOKEN,
        requestBody: body({
          by: HOW.by,
          filter: FILTER_OBJECT,
          limit: { type: 'integer', default: MOST_LETTERS },
          dry_run: { type: 'boolean', default: true, description: 'Drops nothing, and says how many fit.' },
        }),
        responses: { 200: json('How many were dropped, or would be.'), ...refusals([400, 409]) },
      },
    },
    '/v1/dead/{id}': {
      get: {
        operationId: 'showDeadLetter',
        summary: 'A dead letter with its message; what looks like a credential is masked.',
        security: TOKEN,
        parameters: [id],
        responses: { 200: json('The letter.'), ...refusals([404, 409]) },
      },
      delete: {
        operationId: 'dropDeadLetter',
        summary: 'Forget a dead letter for good.',
        security: TOKEN,
        parameters: [id],
        responses: { 204: { description: 'Forgotten.' }, ...refusals([404, 409]) },
      },
    },
    '/v1/dead/{id}/retry': {
      post: {
        operationId: 'retryDeadLetter',
        summary: 'Send a letter again, as it was or with changes.',
        security: TOKEN,
        parameters: [id],
        requestBody: body({
          ...HOW,
          edit: {
            type: 'object',
            properties: {
              body: TEXT,
              method: TEXT,
              params: { type: ['object', 'array'] },
              headers: { type: 'object', additionalProperties: { type: ['string', 'null'] } },
            },
          },
        }),
        responses: { 200: json('Where it was sent, and under which id.'), ...refusals([400, 404, 409]) },
      },
    },
  }
}

const TOKEN = [{ token: [] }, {}] as const
const TEXT = { type: 'string' } as const
const FILTER = [
  ['state', '`open` unless given; `retried`, `all`.'],
  ['reason', 'Code, such as BODY_NOT_JSON.'],
  ['portal', 'As the command named it.'],
  ['method', 'A method; `crm.deal.*` for all that begin so.'],
  ['queue', 'The queue that it came from.'],
  ['since', 'Set aside at or after this moment (ISO 8601).'],
  ['until', 'Set aside before this moment (ISO 8601).'],
] as const
const FILTER_OBJECT = {
  type: 'object',
  properties: Object.fromEntries(FILTER.map(([name]) => [name, TEXT])),
  additionalProperties: false,
} as const
const HOW = {
  by: { type: 'string', description: 'Who wants it, for the record.' },
  new_id: { type: 'boolean', description: 'A fresh message id: it runs whatever became of the first one.' },
  queue: { type: 'string', description: 'The queue where it goes instead.' },
  again: { type: 'boolean', description: 'Although it was sent again before.' },
  dry_run: { type: 'boolean', description: 'Sends nothing.' },
} as const

function query(name: string, description: string): Record<string, unknown> {
  return { name, in: 'query', required: false, description, schema: TEXT }
}

function body(properties: Record<string, unknown>): Record<string, unknown> {
  const schema = { type: 'object', properties, additionalProperties: false }
  return { required: false, content: { 'application/json': { schema } } }
}

function json(description: string): Record<string, unknown> {
  return { description, content: { 'application/json': { schema: { type: 'object' } } } }
}

function refusals(statuses: readonly number[]): Record<string, unknown> {
  return Object.fromEntries(
    statuses.map((status) => {
      const codes = Object.entries(LETTER_REFUSALS).filter(([, refusal]) => refusal.status === status)
      const schema = { $ref: '#/components/schemas/Problem' }
      const description = codes.map(([code]) => code).join(', ')
      return [status, { description, content: { 'application/json': { schema } } }]
    }),
  )
}
