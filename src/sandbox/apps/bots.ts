import type { Json } from '../../model/json.ts'
import type { Portal } from '../portal.ts'
import { tellBots } from './bot-news.ts'
import type { EventParts } from './events.ts'
import type { EventHandler, Installation } from './installations.ts'

/** Whose bot it is. */
export interface BotOwner {
  /** The client id of an application, or `custom` and a digest of the key that a webhook chose. */
  readonly key: string
  /** Missing for bots made through a webhook, which get no tokens. */
  readonly installation?: Installation | undefined
}

/** Words about a bot, as they stand in its profile. */
export interface BotProfile {
  readonly firstName: string
  readonly lastName: string
  readonly workPosition: string
  readonly gender: string
}

/** An event that waits until its bot fetches it. */
export interface BotEvent {
  readonly eventId: number
  readonly type: string
  readonly date: string
  readonly data: Json
}

/** A chat bot. */
export interface Bot {
  /** Also the id of the user that it is. */
  readonly id: number
  readonly code: string
  readonly owner: BotOwner
  /** `1` for `imbot.register`, `2` for `imbot.v2.Bot.register`. */
  readonly version: 1 | 2
  /** `B`, `O`, `H`, `S`; or `bot`, `network`, `openline`, `supervisor`, `personal`. */
  readonly type: string
  readonly openline: boolean
  profile: BotProfile
  eventMode: 'fetch' | 'webhook'
  /** Of its own; bots of version 1 that belong to an application use those of the application. */
  handlers: readonly EventHandler[]
  /** By `applicationToken` a bot made through a webhook recognises the portal. */
  readonly applicationToken: string
  /** Oldest first; only with `fetch`. */
  queue: readonly BotEvent[]
}

/** A bot as tests look at it. */
export interface BotState extends Pick<Bot, 'id' | 'code' | 'version' | 'type' | 'eventMode'> {
  /** A client id, or `webhook`: the key that a webhook chose is its secret. */
  readonly owner: string
  /** Events that wait to be fetched. */
  readonly queued: number
}

/** A command that users write as `/word`. */
export interface BotCommand {
  readonly id: number
  readonly botId: number
  /** Without the slash. */
  readonly word: string
  /** Heard in all chats, not only in those of the bot. */
  readonly common: boolean
}

/** Bots are users; their ids lie above those of people. */
const FIRST_ID = 1_000_001

/** The bots of a portal. They end with their application. */
export class Bots {
  readonly #portal: Portal
  readonly #parts: EventParts
  readonly #byId = new Map<number, Bot>()
  #commands: readonly BotCommand[] = []
  #nextId = FIRST_ID
  #nextCommandId = 1
  #nextEventId = 1

  constructor(portal: Portal, parts: EventParts) {
    this.#portal = portal
    this.#parts = parts
  }

  add(bot: Omit<Bot, 'id' | 'queue'>): Bot {
    const made: Bot = { id: this.#nextId++, queue: [], ...bot }
    this.#byId.set(made.id, made)
    return made
  }

  /** The bot itself is the last to hear of it. */
  remove(bot: Bot, userId: number): void {
    const { id } = bot
    void tellBots(this.#parts, this.#portal, [bot], { kind: 'DELETE', userId })
    this.#byId.delete(id)
    this.#commands = this.#commands.filter(({ botId }) => botId !== id)
  }

  /** Those whose application is still there. */
  all(): Bot[] {
    return [...this.#byId.values()].filter(({ owner }) => {
      if (owner.installation === undefined) return true
      return this.#portal.installations.find(owner.key) === owner.installation
    })
  }

  get(id: number): Bot | undefined {
    return this.all().find((bot) => bot.id === id)
  }

  ofOwner(key: string): Bot[] {
    return this.all().filter(({ owner }) => owner.key === key)
  }

  list(): BotState[] {
    return this.all().map(({ id, code, owner, version, type, eventMode, queue }) => ({
      id,
      code,
      owner: owner.installation === undefined ? 'webhook' : owner.key,
      version,
      type,
      eventMode,
      queued: queue.length,
    }))
  }

  addCommand(command: Omit<BotCommand, 'id'>): BotCommand {
    const made = { id: this.#nextCommandId++, ...command }
    this.#commands = [...this.#commands, made]
    return made
  }

  commands(): readonly BotCommand[] {
    return this.#commands.filter(({ botId }) => this.get(botId) !== undefined)
  }

  /** Keeps an event until its bot has fetched it. */
  keep(bot: Bot, event: Omit<BotEvent, 'eventId'>): void {
    bot.queue = [...bot.queue, { eventId: this.#nextEventId++, ...event }]
  }
}
