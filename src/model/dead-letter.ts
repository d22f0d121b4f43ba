/** What was set aside: a command, a reply that found no queue, an event that no broker could carry, or a message that another program or the broker put there. */
export type LetterKind = 'command' | 'reply' | 'event' | 'foreign'

/** What is known of a dead letter, without its content. */
export interface DeadLetter {
  readonly id: string
  readonly kind: LetterKind
  /** `open` until it was sent again. */
  readonly state: 'open' | 'retried'
  /** Code of the failure, such as `BODY_NOT_JSON`, `REPLY_UNROUTABLE`, `OUTCOME_UNKNOWN`. */
  readonly reason: string
  readonly description?: string
  readonly hint?: string
  /** The portal may have carried it out: sending it again could do it twice. */
  readonly unsure: boolean
  /** The queue that it was taken from. */
  readonly queue?: string
  readonly contract?: string
  readonly portal?: string
  /** In lower case. */
  readonly method?: string
  readonly messageId?: string
  readonly correlationId?: string
  /** Where a retry sends it; absent when nobody knows. */
  readonly target?: { readonly exchange: string; readonly routingKey: string }
  /** Tries that may have reached the portal. */
  readonly attempts: number
  /** Times the broker handed it out. */
  readonly deliveries: number
  /** Length of the body. */
  readonly bytes: number
  /** Milliseconds since 1970: sent by its producer (to the second, when he said so), set aside, stored here. */
  readonly sentAt?: number
  readonly diedAt: number
  readonly storedAt: number
  readonly retries: number
  readonly retriedAt?: number
  /** Who sent it again: `cli:ann@host`, `http:10.0.0.7`. */
  readonly retriedBy?: string
  /** The letter that was sent again and came back as this one. */
  readonly retryOf?: string
}

/** The message of a letter as it was, to the byte. */
export interface LetterContent {
  /** Properties and headers as JSON, what is secret among them masked. */
  readonly properties: string
  /** The headers that are secret. */
  readonly secretHeaders: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** Which letters are meant; every part that is given must fit. */
export interface LetterFilter {
  readonly state?: DeadLetter['state']
  readonly reason?: string
  /** Domain or member id, as the command named it. */
  readonly portal?: string
  /** A method; `crm.deal.*` means all that begin so. */
  readonly method?: string
  readonly queue?: string
  /** Set aside at or after this moment. */
  readonly since?: number
  /** Set aside before this moment. */
  readonly until?: number
}

/** A part of a list of letters. */
export interface LetterPage {
  readonly letters: readonly DeadLetter[]
  /** Where the next part begins; absent at the end. */
  readonly next?: string
}
