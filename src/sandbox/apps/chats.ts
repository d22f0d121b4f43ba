/** A message in a chat. */
export interface ChatMessage {
  readonly id: number
  readonly chatId: number
  readonly authorId: number
  readonly text: string
  readonly system: boolean
  readonly atMs: number
}

/** A chat of two, or of a group. */
export interface Chat {
  readonly id: number
  readonly type: 'private' | 'group'
  readonly title: string
  readonly ownerId: number
  readonly members: readonly number[]
  readonly messages: readonly ChatMessage[]
  /** Bots that said they were writing, once for each time. */
  readonly typing: readonly number[]
}

interface OpenChat extends Chat {
  readonly members: number[]
  readonly messages: ChatMessage[]
  readonly typing: number[]
}

/** The chats of a portal that bots take part in. https://apidocs.bitrix24.com/api-reference/chat-bots/index.html */
export class Chats {
  readonly #byId = new Map<number, OpenChat>()
  #lastMessageId = 0

  /** The chat of a user and a bot, made when there is none. */
  between(userId: number, botId: number): Chat {
    return (
      this.#private(userId, botId) ??
      this.#open({ type: 'private', title: '', ownerId: userId, members: [userId, botId] })
    )
  }

  group(title: string, ownerId: number): Chat {
    return this.#open({ type: 'group', title, ownerId, members: [ownerId] })
  }

  join({ id }: Chat, memberId: number): void {
    const { members } = this.#byId.get(id)!
    if (!members.includes(memberId)) members.push(memberId)
  }

  get(id: number): Chat | undefined {
    return this.#byId.get(id)
  }

  /** What a member means by `chat5`, or by a user's id: the chat with that user. */
  find(dialogId: string, memberId: number): Chat | undefined {
    const [, chatId] = /^chat(\d+)$/.exec(dialogId) ?? []
    if (chatId === undefined) return this.#private(Number(dialogId), memberId)
    const chat = this.#byId.get(Number(chatId))
    return chat?.members.includes(memberId) ? chat : undefined
  }

  say({ id }: Chat, message: Pick<ChatMessage, 'authorId' | 'text' | 'system' | 'atMs'>): ChatMessage {
    const said = { id: ++this.#lastMessageId, chatId: id, ...message }
    this.#byId.get(id)!.messages.push(said)
    return said
  }

  /** The message as it stands now and its chat. */
  message(id: number): { readonly chat: Chat; readonly message: ChatMessage } | undefined {
    for (const chat of this.#byId.values()) {
      const message = chat.messages.find((known) => known.id === id)
      if (message !== undefined) return { chat, message }
    }
    return undefined
  }

  /** Puts another text in place of a message's; without one the message is gone. */
  change(message: ChatMessage, text?: string): void {
    const { messages } = this.#byId.get(message.chatId)!
    const index = messages.findIndex(({ id }) => id === message.id)
    messages.splice(index, 1, ...(text === undefined ? [] : [{ ...message, text }]))
  }

  types({ id }: Chat, botId: number): void {
    this.#byId.get(id)!.typing.push(botId)
  }

  list(): Chat[] {
    return structuredClone([...this.#byId.values()])
  }

  #private(a: number, b: number): OpenChat | undefined {
    for (const chat of this.#byId.values()) {
      if (chat.type === 'private' && chat.members.includes(a) && chat.members.includes(b)) return chat
    }
    return undefined
  }

  #open(chat: Pick<OpenChat, 'type' | 'title' | 'ownerId' | 'members'>): OpenChat {
    const opened = { id: this.#byId.size + 1, ...chat, messages: [], typing: [] }
    this.#byId.set(opened.id, opened)
    return opened
  }
}

/** How a member names the chat. */
export function dialogIdFor(chat: Chat, memberId: number): string {
  if (chat.type === 'group') return `chat${chat.id}`
  return String(chat.members.find((id) => id !== memberId) ?? memberId)
}
