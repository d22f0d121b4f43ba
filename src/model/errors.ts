/**
 * Every error that leaves this program, by who can mend it. Each carries a stable `code` to branch on, a
 * sentence for people, a `hint` that says what to do, and answers two questions: is it worth repeating, and may
 * the call have happened already. No token, webhook code or client secret is ever part of one.
 */

/** May the request have reached the portal? `false`: surely not; `'maybe'`: nobody can tell. */
export type Sent = false | 'maybe'

/** What every error of this program may be given besides its sentence. */
export interface ErrorDetails {
  /** What a person should do now, in one plain sentence. */
  readonly hint?: string
  /** Small facts for logs: method, portal domain, status. Never a secret. */
  readonly context?: Readonly<Record<string, string | number | boolean | null>>
  readonly cause?: unknown
}

/** The base class; catch it to tell our errors from foreign ones. */
export class BridgeError extends Error {
  /** Stable and upper-case; branch on this, never on the message. */
  readonly code: string
  readonly hint: string | undefined
  readonly context: NonNullable<ErrorDetails['context']>
  /** True when the same command may succeed later without anybody changing it. */
  readonly retryable: boolean = false
  /** True when the portal may have carried out the call although no answer is known. */
  readonly mayHaveRun: boolean = false

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = new.target.name
    this.code = code
    this.hint = details.hint
    this.context = details.context ?? {}
  }
}

/** The settings are wrong. All faults of one start are listed together; the operator mends them before start. */
export class ConfigError extends BridgeError {
  /** One sentence a fault, each naming the setting. */
  readonly faults: readonly string[]

  constructor(faults: readonly string[], details: ErrorDetails = {}) {
    super('CONFIG_INVALID', faults.join('\n'), details)
    this.faults = faults
  }
}

/** The command itself is wrong (not JSON, no method, an unknown action); the sender mends it. Nothing was sent. */
export class CommandError extends BridgeError {
  /** The HTTP status that a reply shows: 400 unless the reason asks for another (404, 413, 504). */
  readonly status: number

  constructor(code: string, message: string, details: ErrorDetails & { readonly status?: number } = {}) {
    super(code, message, details)
    this.status = details.status ?? 400
  }
}

/** The portal answered with an error of its own: a business answer, to be handed to the sender. */
export class RestError extends BridgeError {
  /** HTTP status of the answer; for a command inside a batch, the status that the same call would have had alone. */
  readonly status: number
  /** `error_description` as the portal sent it; may be empty and is localized. */
  readonly description: string
  /** The portal's `error` as sent: may be lower-case, digits, a sentence, or empty. */
  readonly portalCode: string

  constructor(
    portalCode: string,
    description: string,
    status: number,
    details: ErrorDetails & { readonly code?: string } = {},
  ) {
    const code = details.code ?? (portalCode === '' ? 'ERROR' : portalCode)
    super(code, sentenceOf(portalCode, code, description), details)
    this.status = status
    this.description = description
    this.portalCode = portalCode
  }
}

/** Many portal errors have an empty code; the description then says all there is. */
function sentenceOf(portalCode: string, code: string, description: string): string {
  if (description === '') return `The portal answered ${code}`
  return portalCode === '' ? description : `${code}: ${description}`
}

/** A limit of the portal refused the call before it ran. Waiting mends it; the wait is not an attempt. */
export class ThrottledError extends RestError {
  override readonly retryable = true
  /** Milliseconds after which the call may be tried again; 0 when the portal gave no clue. */
  readonly waitMs: number

  constructor(
    portalCode: string,
    description: string,
    status: number,
    details: ErrorDetails & { readonly waitMs?: number } = {},
  ) {
    super(portalCode, description, status, details)
    this.waitMs = details.waitMs ?? 0
  }
}

/** The portal does not accept our credentials: a webhook that was removed, a token that expired, a missing scope. */
export class AuthError extends RestError {}

/** No usable answer: the network failed, the request timed out, or what came back was not the portal's JSON. */
export class TransportError extends BridgeError {
  readonly sent: Sent
  /** HTTP status, when one was read (502 with an HTML page); 0 otherwise. */
  readonly status: number
  override readonly retryable: boolean
  override readonly mayHaveRun: boolean

  constructor(
    code: string,
    message: string,
    details: ErrorDetails & { readonly sent: Sent; readonly status?: number },
  ) {
    super(code, message, details)
    this.sent = details.sent
    this.status = details.status ?? 0
    this.mayHaveRun = details.sent === 'maybe'
    this.retryable = details.sent === false
  }
}

/** The store cannot be reached or refused a statement; nothing may be acknowledged until it is back. */
export class StoreError extends BridgeError {
  override readonly retryable = true
}

/** The program itself failed, by the foreign error in `cause`: a fault of ours, to be set aside with its stack. */
export class FaultError extends BridgeError {
  constructor(cause: unknown) {
    super('INTERNAL_ERROR', 'The bridge failed on this command; this is a fault of ours', {
      hint: 'Report it with the log line of this command.',
      cause,
    })
  }
}

/** The broker cannot be reached, refused a publication or returned it; nothing is acknowledged. */
export class BrokerError extends BridgeError {
  override readonly retryable = true

  /** Of a publication: the broker may have stored it all the same. */
  get mayBeStored(): boolean {
    return this.code === 'CONFIRM_TIMEOUT' || this.code === 'CONNECTION_LOST'
  }
}
