import { OFFLINE_REFUSALS } from '../bridge/events/offline/refusals.ts'

/** The part of the OpenAPI description about hidden offline events; see `docs/offline-events.md`. */
export function offlinePaths(): Record<string, unknown> {
  return {
    '/v1/events/errors': {
      get: {
        operationId: 'listHiddenEvents',
        summary: 'Offline events that portals hide, because the broker will never take them.',
        security: TOKEN,
        parameters: [
          query('portal', 'Member id, domain or alias; all portals when left out.'),
          query('after', '`next` of the page before.'),
          query(
            'limit',
            'Queues that are asked, one request to a portal each: 20 unless given, 200 at most.',
          ),
        ],
        responses: {
          200: json('Queues with hidden events, or with the error of a portal; and `next` for `after`.'),
          ...refusals([400, 404]),
        },
      },
      post: {
        operationId: 'releaseHiddenEvents',
        summary: 'Offer the hidden events of a portal to the broker again.',
        security: TOKEN,
        requestBody: {
          required: true,
          content: {
            'application/json': {
              schema: {
                type: 'object',
                required: ['portal'],
                properties: { portal: TEXT, application: TEXT, connector: TEXT },
              },
            },
          },
        },
        responses: { 200: json('How many events: `released`.'), ...refusals([400, 404]) },
      },
    },
  }
}

const TOKEN = [{ token: [] }, {}] as const
const TEXT = { type: 'string' } as const

function query(name: string, description: string): Record<string, unknown> {
  return { name, in: 'query', required: false, description, schema: TEXT }
}

function json(description: string): Record<string, unknown> {
  return { description, content: { 'application/json': { schema: { type: 'object' } } } }
}

function refusals(statuses: readonly number[]): Record<string, unknown> {
  return Object.fromEntries(
    statuses.map((status) => {
      const codes = Object.entries(OFFLINE_REFUSALS).filter(([, refusal]) => refusal.status === status)
      const schema = { $ref: '#/components/schemas/Problem' }
      const description = codes.map(([code]) => code).join(', ')
      return [status, { description, content: { 'application/json': { schema } } }]
    }),
  )
}
