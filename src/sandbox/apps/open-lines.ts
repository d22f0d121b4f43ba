/** A message between a client of another system and an operator of the portal. */
export interface LineMessage {
  /** Of the portal; `im[message_id]`. */
  readonly id: number
  /** Of the portal; `im[chat_id]`. */
  readonly chatId: number
  readonly connector: string
  readonly line: number
  /** The chat in the other system. */
  readonly externalChatId: string
  readonly from: 'client' | 'operator'
  readonly text: string
  /** An operator's message is `delivered` when the connector said so. */
  readonly state: 'sent' | 'delivered'
}

/** What is said over connectors. https://apidocs.bitrix24.com/api-reference/imopenlines/imconnector/index.html */
export class OpenLines {
  readonly #chats: string[] = []
  #messages: readonly LineMessage[] = []

  add(message: Omit<LineMessage, 'id' | 'chatId' | 'state'>): LineMessage {
    const key = `${message.connector} ${message.line} ${message.externalChatId}`
    if (!this.#chats.includes(key)) this.#chats.push(key)
    const chatId = this.#chats.indexOf(key) + 1
    const made = { id: this.#messages.length + 1, chatId, state: 'sent', ...message } as const
    this.#messages = [...this.#messages, made]
    return made
  }

  /** False when the operator's message is not one of this connector and line. */
  deliver(connector: string, line: number, id: number): boolean {
    const known = this.#messages.find(
      (each) => each.id === id && each.connector === connector && each.line === line,
    )
    if (known?.from !== 'operator') return false
    this.#messages = this.#messages.map((each) => (each === known ? { ...each, state: 'delivered' } : each))
    return true
  }

  list(): readonly LineMessage[] {
    return this.#messages
  }
}
