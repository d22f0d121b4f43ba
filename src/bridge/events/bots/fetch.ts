import type { CallSettled, LaneCall } from '../../../client/lane/work.ts'
import { BridgeError } from '../../../model/errors.ts'
import { isJsonObject, type Json } from '../../../model/json.ts'
import type { Portal, Portals } from '../../portals.ts'
import { isHopeless } from '../hopeless.ts'
import type { EventOutlet } from '../outlet.ts'
import type { SetAside } from '../set-aside.ts'
import { eventOfRow, pageOf } from './row.ts'
import type { BotSource } from './store.ts'

/** What fetching is done with. */
export interface FetchParts {
  readonly portals: Pick<Portals, 'find'>
  readonly outlet: Pick<EventOutlet, 'publish'>
  /** Takes what no broker will ever carry. */
  readonly setAside: SetAside
  /** Events that one call asks for. */
  readonly limit: number
  readonly now: () => number
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** How a look at the bots of an application ended. */
export interface Look {
  /** Events that the broker has now. */
  readonly events: number
  /** The portal has more. */
  readonly more: boolean
  /** What kept some of it from its end; what was published is confirmed by the next look all the same. */
  readonly trouble?: BridgeError
}

/** When a look ends before its time. */
export interface LookSignals {
  /** The right to these bots is lost: nothing more is asked, published or confirmed. */
  readonly lost: AbortSignal
  /** The process stops. */
  readonly stop: AbortSignal
}

/** Bots come and go by hand. */
const BOTS_MS = 5 * 60_000
/** One that is wanted and not there is about to be registered, or to lose its address. */
const MISSING_MS = 20_000
/** A portal that is down, or a limit, keeps a call waiting no longer; it was not sent. */
const CALL_MS = 60_000
const LAST_MS = 3000
/** Calls that one request carries. */
const A_REQUEST = 50
/** The bot is gone, or another application's by now. */
const GONE = new Set(['BOT_NOT_FOUND', 'BOT_OWNERSHIP_ERROR'])

/**
 * The bots of one application on one portal, and how far each has come. The offset of a call confirms all events before it,
 * so it is passed on only when the broker has those. It lives in memory: without one the portal begins with the first event
 * that nobody has confirmed, so a process that dies in between publishes some of them again, under the same keys.
 *
 * https://apidocs.bitrix24.com/api-reference/chat-bots/chat-bots-v2/imbot.v2/events/event-get.html
 */
export class BotFetch {
  readonly #source: BotSource
  readonly #parts: FetchParts
  readonly #signals: LookSignals
  readonly #either: AbortSignal
  /** What may be confirmed, by bot. */
  readonly #offsets = new Map<number, number>()
  /** Bots whose offset the portal has not been told. */
  readonly #untold = new Set<number>()
  #bots: readonly number[] = []
  #botsUntil = 0

  constructor(source: BotSource, parts: FetchParts, signals: LookSignals) {
    this.#source = source
    this.#parts = parts
    this.#signals = signals
    this.#either = AbortSignal.any([signals.lost, signals.stop])
  }

  /** Asks for the events of all bots, a page each, and publishes them. Never rejects for what portal, broker or store do. */
  async look(): Promise<Look> {
    const { memberId, clientId } = this.#source
    try {
      const portal = await this.#parts.portals.find({ portal: memberId, application: clientId })
      await this.#findBots(portal)
      const settled = await this.#ask(portal, this.#bots, this.#parts.limit)
      const looks = await Promise.all(
        this.#bots.map((botId, i) => this.#take(botId, settled[i] ?? {}, portal.domain)),
      )
      const trouble = looks.find((one) => one.trouble !== undefined)?.trouble
      return {
        events: looks.reduce((sum, { events }) => sum + events, 0),
        more: looks.some(({ more }) => more),
        ...(trouble === undefined ? {} : { trouble }),
      }
    } catch (error) {
      if (!(error instanceof BridgeError)) throw error
      return { events: 0, more: false, trouble: error }
    }
  }

  /** Confirms what is published and not confirmed, so that nobody gets it again. Never rejects. */
  async finish(): Promise<void> {
    if (this.#untold.size === 0 || this.#signals.lost.aborted) return
    const { memberId, clientId } = this.#source
    try {
      const portal = await this.#parts.portals.find({ portal: memberId, application: clientId })
      // What comes back is not looked at, and so not confirmed.
      await this.#ask(portal, [...this.#untold], 1, LAST_MS)
    } catch (error) {
      this.#parts.log('bots.unconfirmed', { memberId, clientId, err: error })
    }
  }

  /** https://apidocs.bitrix24.com/api-reference/chat-bots/chat-bots-v2/imbot.v2/bots/bot-list.html */
  async #findBots(portal: Portal): Promise<void> {
    const { now } = this.#parts
    if (this.#bots.length > 0 && now() < this.#botsUntil) return
    const [settled] = await this.#submit(portal, [{ method: 'imbot.v2.Bot.list', params: { limit: 500 } }])
    if (settled?.error !== undefined) throw settled.error
    const result = settled?.answer?.body.result
    const rows: Json[] = isJsonObject(result) && Array.isArray(result.bots) ? result.bots : []
    const { codes } = this.#source
    this.#bots = rows.flatMap((row) => {
      if (!isJsonObject(row) || row.eventMode !== 'fetch') return []
      const botId = Number(row.id)
      return codes.includes(String(row.code).toLowerCase()) && botId > 0 ? [botId] : []
    })
    this.#botsUntil = now() + (this.#bots.length < codes.length ? MISSING_MS : BOTS_MS)
  }

  async #ask(
    portal: Portal,
    bots: readonly number[],
    limit: number,
    lastMs?: number,
  ): Promise<readonly CallSettled[]> {
    const calls = bots.map((botId): LaneCall => {
      const offset = this.#offsets.get(botId)
      return {
        method: 'imbot.v2.Event.get',
        params: { botId, limit, ...(offset === undefined ? {} : { offset }) },
      }
    })
    const settled: CallSettled[] = []
    for (let at = 0; at < calls.length; at += A_REQUEST)
      settled.push(...(await this.#submit(portal, calls.slice(at, at + A_REQUEST), lastMs)))
    for (const [i, { error }] of settled.entries())
      if (error === undefined) this.#untold.delete(bots[i] as number)
    return settled
  }

  #submit(
    { lane, credential }: Portal,
    calls: readonly LaneCall[],
    lastMs?: number,
  ): Promise<readonly CallSettled[]> {
    const until =
      lastMs === undefined
        ? { signal: this.#either, deadlineMs: CALL_MS }
        : { signal: this.#signals.lost, deadlineMs: lastMs }
    return lane.submit({ calls, options: { source: 'bots', credential, ...until } })
  }

  /** Publishes a page event by event, and remembers how far that went. */
  async #take(botId: number, { answer, error }: CallSettled, domain: string): Promise<Look> {
    const { memberId, clientId } = this.#source
    const { log, now } = this.#parts
    if (error !== undefined) {
      if (!GONE.has(error.code)) return { events: 0, more: false, trouble: error }
      this.#offsets.delete(botId)
      this.#untold.delete(botId)
      this.#botsUntil = 0
      log('bots.gone', { memberId, clientId, botId, code: error.code })
      return { events: 0, more: false }
    }
    const page = pageOf(answer?.body.result)
    if (page === undefined) return { events: 0, more: false }
    const { rows, nextOffset, hasMore, unreadable } = page
    if (unreadable > 0) log('bots.unreadable', { memberId, clientId, botId, unreadable })
    let events = 0
    for (const row of rows) {
      const event = eventOfRow(row, { memberId, clientId, domain, botId }, now())
      const trouble = await this.#publish(event)
      if (this.#signals.lost.aborted) return { events, more: false }
      if (trouble !== undefined) {
        // Those before it are done with; it and those behind it come again.
        if (events > 0) this.#passTo(botId, row.eventId)
        return { events, more: false, trouble }
      }
      events++
    }
    if (nextOffset !== undefined) this.#passTo(botId, nextOffset)
    return { events, more: hasMore }
  }

  async #publish(event: ReturnType<typeof eventOfRow>): Promise<BridgeError | undefined> {
    const { outlet, setAside, log } = this.#parts
    try {
      // One that waits for the broker comes again, to us or to another process.
      await outlet.publish(event, { signal: this.#either })
    } catch (error) {
      if (!(error instanceof BridgeError)) throw error
      if (!isHopeless(error)) return error
      try {
        await setAside(event, error)
      } catch (failed) {
        if (failed instanceof BridgeError) return failed
        // What cannot be written as a message cannot be kept as one either, and must not keep others waiting.
        log('event.lost', { member: event.memberId, event: event.event, err: failed })
      }
    }
    return undefined
  }

  #passTo(botId: number, offset: number): void {
    this.#offsets.set(botId, offset)
    this.#untold.add(botId)
  }
}
