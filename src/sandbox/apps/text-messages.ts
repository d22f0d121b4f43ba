import { randomBytes } from 'node:crypto'

/** What `messageservice.message.status.update` may set, spelled exactly so, and how the portal words each. */
const WORDS = {
  error: 'Error',
  queued: 'Queued',
  sent: 'Sent',
  delivered: 'Delivered',
  undelivered: 'Undelivered',
  failed: 'Failed',
} as const
const SETTABLE = ['queued', 'sent', 'delivered', 'undelivered', 'failed'] as const

type SettableStatus = (typeof SETTABLE)[number]

/** A text message to a phone. */
export interface TextMessage {
  /** The portal's own number. */
  readonly id: number
  /** 32 hexadecimal digits, by which the provider knows it. */
  readonly messageId: string
  readonly clientId: string
  readonly code: string
  readonly to: string
  readonly body: string
  /** 0 for nobody. */
  readonly authorId: number
  /** `sent` as soon as the provider is being told, `error` when it could not be. */
  readonly status: keyof typeof WORDS
}

/** The text messages of a portal. https://apidocs.bitrix24.com/api-reference/messageservice/index.html */
export class TextMessages {
  readonly #all: { -readonly [name in keyof TextMessage]: TextMessage[name] }[] = []

  add(message: Omit<TextMessage, 'id' | 'messageId'>): TextMessage {
    const made = { id: this.#all.length + 1, messageId: randomBytes(16).toString('hex'), ...message }
    this.#all.push(made)
    return made
  }

  find(id: number): TextMessage | undefined {
    return this.#all[id - 1]
  }

  /** The message that an application's provider knows by this id. */
  findSent(clientId: string, code: string, messageId: string): TextMessage | undefined {
    return this.#all.find(
      (known) => known.messageId === messageId && known.clientId === clientId && known.code === code,
    )
  }

  setStatus(id: number, status: SettableStatus): void {
    const message = this.#all[id - 1]
    if (message !== undefined) message.status = status
  }

  list(): TextMessage[] {
    return structuredClone(this.#all)
  }
}

/** True for a status that a provider may report; capitals do not count. */
export function isSettable(status: string): status is SettableStatus {
  return SETTABLE.some((known) => known === status)
}

/** The status as `messageservice.message.status.get` words it. */
export function wordOf({ status }: TextMessage): string {
  return WORDS[status]
}
