import { BridgeError, BrokerError, CommandError, StoreError } from '../model/errors.ts'

/** The JSON body of every refusal. */
export interface ProblemBody {
  /** Stable and upper-case; branch on this. */
  readonly error: string
  readonly error_description: string
  /** What to do, in one sentence. */
  readonly hint?: string
}

/** A refusal, ready to be sent. */
export interface Problem {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: ProblemBody
}

interface Refusal {
  readonly status: number
  readonly description: string
  readonly hint?: string
}

/**
 * The one table of refusals that the HTTP server makes by itself. Faults in a command keep the code and status of
 * the command's contract; troubles of broker and store are 503, or 504 when the command may have been queued.
 */
export const REFUSALS = {
  HTTP_INVALID: { status: 400, description: 'The request is not well-formed HTTP.' },
  HOST_NOT_ALLOWED: {
    status: 400,
    description: 'The request asks for a host name that is not served here.',
    hint: 'Add the name to BRIDGE_ALLOWED_HOSTS.',
  },
  IDEMPOTENCY_KEY_INVALID: {
    status: 400,
    description: 'The header Idempotency-Key must have 1 to 255 printable ASCII characters.',
    hint: 'A UUID is a good key; leave the header out for a fresh one.',
  },
  TOKEN_MISSING: {
    status: 401,
    description: 'The request has no bearer token.',
    hint: 'Send the header "Authorization: Bearer TOKEN" with the value of BRIDGE_ADMIN_TOKEN.',
  },
  TOKEN_WRONG: {
    status: 401,
    description: 'The bearer token is not the one that is set.',
    hint: 'Compare it with BRIDGE_ADMIN_TOKEN of the running bridge.',
  },
  LOCAL_ONLY: {
    status: 403,
    description: 'Without a token only programs on this machine may send commands.',
    hint: 'Set BRIDGE_ADMIN_TOKEN and send it as a bearer token; web pages and proxies always need it.',
  },
  ROUTE_UNKNOWN: {
    status: 404,
    description: 'There is nothing at this address.',
    hint: 'There are GET /health/live, GET /health/ready, GET /metrics, POST /v1/commands, GET /v1/commands/{id}, and those of docs/connecting.md.',
  },
  COMMAND_NOT_FOUND: {
    status: 404,
    description: 'No command is known under this id.',
    hint: 'It was never sent, was refused, or its reply is no longer kept.',
  },
  BODY_TOO_LARGE: {
    status: 413,
    description: 'The body is larger than BRIDGE_MAX_BODY allows.',
    hint: 'Split the command, or send files by a link instead of inside it.',
  },
  MEDIA_TYPE_UNSUPPORTED: {
    status: 415,
    description: 'The body must be uncompressed JSON.',
    hint: 'Send the header "Content-Type: application/json" and no Content-Encoding.',
  },
  MESSAGE_ID_REUSED: {
    status: 422,
    description: 'Another command with the same Idempotency-Key is known.',
    hint: 'Give every command a key of its own; repeat one only with the very same body.',
  },
  TOO_MANY_COMMANDS: {
    status: 429,
    description: 'Too many commands are waiting for their replies over HTTP.',
    hint: 'Send fewer at once, or send them with "Prefer: respond-async".',
  },
  INTERNAL_ERROR: {
    status: 500,
    description: 'The bridge failed on this request; this is a fault of ours.',
    hint: 'Report it with the log line http.failed.',
  },
  DRAINING: {
    status: 503,
    description: 'The bridge is shutting down.',
    hint: 'Send the command again, with the same Idempotency-Key, when it is back or to another instance.',
  },
} as const satisfies Readonly<Record<string, Refusal>>

/** A code of the table. */
export type RefusalCode = keyof typeof REFUSALS

/** The error to throw for a refusal of the table. */
export function refusal(code: RefusalCode): CommandError {
  const entry: Refusal = REFUSALS[code]
  return new CommandError(code, entry.description, {
    status: entry.status,
    ...(entry.hint === undefined ? {} : { hint: entry.hint }),
  })
}

/** What is answered to an error, whatever it is. A foreign error's text is never shown. */
export function problemOf(error: unknown): Problem {
  const known = error instanceof BridgeError ? error : fromFastify(error)
  const status = statusOf(known)
  return {
    status,
    headers: HEADERS[status] ?? {},
    body: {
      error: known.code,
      error_description: known.message,
      ...(hintOf(known) === undefined ? {} : { hint: hintOf(known) as string }),
    },
  }
}

const HEADERS: Readonly<Record<number, Readonly<Record<string, string>>>> = {
  401: { 'www-authenticate': 'Bearer realm="bitrix24-bridge"' },
  429: { 'retry-after': '1' },
  503: { 'retry-after': '5' },
}

function statusOf(error: BridgeError): number {
  if (error instanceof BrokerError) return error.mayBeStored ? 504 : 503
  if (error instanceof StoreError) return 503
  const { status } = error as { status?: unknown }
  return typeof status === 'number' && status >= 400 && status <= 599 ? status : 500
}

function hintOf(error: BridgeError): string | undefined {
  if (error instanceof BrokerError && error.mayBeStored)
    return 'The command may have been queued; send it again with the same Idempotency-Key.'
  return error.hint
}

/** https://fastify.dev/docs/latest/Reference/Errors/ */
function fromFastify(error: unknown): CommandError {
  const { code, statusCode } = (error ?? {}) as { code?: unknown; statusCode?: unknown }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return refusal('BODY_TOO_LARGE')
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return refusal('MEDIA_TYPE_UNSUPPORTED')
  const ours = typeof statusCode !== 'number' || statusCode < 400 || statusCode > 499
  return refusal(ours ? 'INTERNAL_ERROR' : 'HTTP_INVALID')
}
