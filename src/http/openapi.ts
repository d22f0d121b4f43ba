import { z } from 'zod'
import { nativeCommandSchema, nativeReplySchema } from '../bridge/contracts/native-schema.ts'
import { connectingPaths } from './admin-openapi.ts'
import { deadPaths } from './dead-openapi.ts'
import { offlinePaths } from './offline-openapi.ts'
import { WAIT_SECONDS } from './preferences.ts'
import { REFUSALS } from './problems.ts'

/** The OpenAPI description of the HTTP side, `docs/reference/openapi.json`. The schemas are those of the parsers. */
export function openApi(): Record<string, unknown> {
  return {
    openapi: '3.1.0',
    info: {
      title: 'bitrix24-bridge',
      version: '1',
      description:
        'Health, metrics and commands over HTTP. A status speaks about the bridge; how a command ended at the portal stands in the reply.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: 'http://127.0.0.1:8000' }],
    paths: {
      '/health/live': {
        get: {
          operationId: 'live',
          summary: 'The process turns.',
          responses: { 200: json('Live.', ref('Live')) },
        },
      },
      '/health/ready': {
        get: {
          operationId: 'ready',
          summary: 'The bridge can work: broker and store are there, and it is not shutting down.',
          parameters: [
            {
              name: 'exclude',
              in: 'query',
              schema: { type: 'array', items: { type: 'string', enum: ['broker', 'queue', 'store'] } },
              description: 'Parts that are not to count; may come several times.',
            },
          ],
          responses: { 200: json('Ready.', ref('Health')), 503: json('Not ready, and why.', ref('Health')) },
        },
      },
      '/health/started': {
        get: {
          operationId: 'started',
          summary: 'Commands were taken at least once.',
          responses: { 200: json('Started.', ref('Started')), 503: json('Not yet, and why.', ref('Health')) },
        },
      },
      '/metrics': {
        get: {
          operationId: 'metrics',
          summary: 'Numbers for Prometheus.',
          responses: {
            200: {
              description: 'See docs/metrics.md.',
              content: { 'text/plain': { schema: { type: 'string' } } },
            },
          },
        },
      },
      '/v1/commands': { post: sendCommand() },
      '/v1/commands/{id}': { get: findCommand() },
      ...connectingPaths(),
      ...deadPaths(),
      ...offlinePaths(),
    },
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } }, schemas: schemas() },
  }
}

function sendCommand(): Record<string, unknown> {
  const { usual, most } = WAIT_SECONDS
  return {
    operationId: 'sendCommand',
    summary: 'Carry a command out.',
    security: [{ token: [] }, {}],
    parameters: [
      header('Prefer', `wait=SECONDS (${usual} unless given, at most ${most}), or respond-async.`),
      header(
        'Idempotency-Key',
        'Id of the command; the same command under the same key is carried out once.',
      ),
      header('X-B24-Portal', 'As portal in the body, which wins.'),
      header('X-B24-Priority', 'As priority in the body, which wins.'),
      header('X-B24-Order-Key', 'As orderKey in the body, which wins.'),
      header('Traceparent', 'W3C trace context; comes back in the reply.'),
      {
        name: 'async',
        in: 'query',
        schema: { type: 'string', enum: ['1', 'true'] },
        description: 'As respond-async.',
      },
    ],
    requestBody: { required: true, content: { 'application/json': { schema: ref('Command') } } },
    responses: {
      200: json('The reply, whatever the outcome in it.', ref('Reply')),
      202: json('The command was queued, or goes on after the wait is over.', ref('Pending')),
      ...problems([400, 401, 403, 413, 415, 422, 429, 500, 503]),
      504: json('The broker has not confirmed the command; it may have been queued.', ref('Problem')),
    },
  }
}

function findCommand(): Record<string, unknown> {
  return {
    operationId: 'findCommand',
    summary: 'The reply to a command that was answered with 202.',
    security: [{ token: [] }, {}],
    parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string', maxLength: 255 } }],
    responses: {
      200: json('The reply.', ref('Reply')),
      202: json('There is none yet.', ref('Pending')),
      ...problems([400, 401, 403, 404, 500, 503]),
    },
  }
}

function schemas(): Record<string, unknown> {
  const text = { type: 'string' }
  const from = { type: 'string', enum: ['token', 'this-machine'], description: 'Who may send commands.' }
  const part = { type: 'object', required: ['ok'], properties: { ok: { type: 'boolean' }, reason: text } }
  return {
    Command: component(z.toJSONSchema(nativeCommandSchema, { io: 'input' })),
    Reply: component(z.toJSONSchema(nativeReplySchema)),
    Pending: {
      type: 'object',
      required: ['id', 'state', 'status'],
      properties: {
        id: text,
        state: { const: 'pending' },
        status: { ...text, description: 'Path to ask at.' },
      },
    },
    Problem: {
      type: 'object',
      required: ['error', 'error_description'],
      properties: {
        error: { ...text, description: 'Stable; branch on this.' },
        error_description: text,
        hint: { ...text, description: 'What to do, in one sentence.' },
      },
    },
    Live: {
      type: 'object',
      required: ['status'],
      properties: { status: { const: 'live' }, commands_from: from },
    },
    Started: {
      type: 'object',
      required: ['status'],
      properties: { status: { const: 'started' }, commands_from: from },
    },
    Health: {
      type: 'object',
      required: ['status', 'draining', 'parts'],
      properties: {
        status: { type: 'string', enum: ['ready', 'not ready', 'starting'] },
        error: text,
        error_description: text,
        draining: { type: 'boolean' },
        parts: { type: 'object', additionalProperties: part },
        commands_from: from,
      },
    },
  }
}

/** Statuses with the codes of the table of refusals. */
function problems(statuses: readonly number[]): Record<string, unknown> {
  return Object.fromEntries(
    statuses.map((status) => {
      const codes = Object.entries(REFUSALS).filter(([, refusal]) => refusal.status === status)
      const known = codes.map(([code]) => code).join(', ')
      const own =
        status === 400 ? 'codes of a bad command' : status === 503 ? 'codes of broker and store' : ''
      return [status, json([known, own].filter((one) => one !== '').join(', '), ref('Problem'))]
    }),
  )
}

function component({ $schema: _, ...schema }: Record<string, unknown>): Record<string, unknown> {
  return schema
}

function ref(name: string): Record<string, string> {
  return { $ref: `#/components/schemas/${name}` }
}

function json(description: string, schema: Record<string, unknown>): Record<string, unknown> {
  return { description, content: { 'application/json': { schema } } }
}

function header(name: string, description: string): Record<string, unknown> {
  return { name, in: 'header', schema: { type: 'string' }, description }
}
