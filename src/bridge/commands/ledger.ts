import { createHash, randomBytes } from 'node:crypto'
import type { Address, HeaderValue, Message } from '../../brokers/broker.ts'
import type { Failure } from '../../model/outcome.ts'
import { gather } from '../../util/gather.ts'
import type { StartStopwatch } from '../../util/stopwatch.ts'

/** What the store remembers of a write command. */
export interface LedgerRecord {
  /** `failed`: it ended, and surely was not carried out. */
  readonly state: 'started' | 'done' | 'failed'
  readonly requestHash: string
  /** When it was begun, or last begun again: milliseconds since 1970. */
  readonly startedAt: number
  /** How often it was sent again while in doubt. */
  readonly repeats: number
  /** The word under which it was begun last. */
  readonly claim?: string
  readonly finishedAt?: number
  /** The reply as text; absent for `started`, and when it was too long to keep. */
  readonly reply?: string
}

/** The store behind the ledger; each function takes many rows at once. */
export interface LedgerStore {
  find(keys: readonly string[]): Promise<ReadonlyMap<string, LedgerRecord>>
  /** Gives the keys that were new; what stands there already stays as it is. */
  started(rows: readonly BegunRow[]): Promise<ReadonlySet<string>>
  done(
    rows: readonly {
      readonly key: string
      readonly requestHash: string
      readonly startedAt: number
      readonly finishedAt: number
      readonly reply: string
      readonly ran: boolean
    }[],
  ): Promise<void>
  /** Those that are `started` since that moment still. */
  forget(rows: readonly { readonly key: string; readonly since: number }[]): Promise<void>
  /** It is begun once more, when it is `started` since that moment still; false otherwise. */
  again(
    key: string,
    since: number,
    claim: Pick<BegunRow, 'startedAt' | 'claim'> & { readonly isRepeat: boolean },
  ): Promise<boolean>
  /** It is begun as if it were new, when it was begun at that moment and is `failed` still; false otherwise. */
  anew(since: number, row: BegunRow): Promise<boolean>
  /** It has ended, when it is `started` since that moment still; false otherwise. */
  conclude(
    key: string,
    since: number,
    end: { readonly finishedAt: number; readonly reply: string; readonly ran: boolean },
  ): Promise<boolean>
}

interface BegunRow {
  readonly key: string
  readonly requestHash: string
  readonly startedAt: number
  /** By which whoever begins it knows its own page again. */
  readonly claim: string
}

/**
 * Remembers writes that carry a message id, so that a redelivered one is answered and not repeated. `started` is
 * durable before the first byte leaves; `done` with the reply before the reply is published. What many commands ask
 * in one tick is one statement.
 */
export interface Ledger {
  /** The clock that its moments are read from, the same for all processes: milliseconds since 1970. */
  now(): number
  /** A write that was begun is left alone by others for so long. */
  readonly quietMs: number
  /** Other processes write it too. */
  readonly shared: boolean
  readonly startStopwatch: StartStopwatch
  find(key: string): Promise<LedgerRecord | undefined>
  /** Gives the moment under which it is begun now, or `undefined` when it was begun before: somebody else may be at it. */
  started(key: string, requestHash: string): Promise<number | undefined>
  /** As `started`, for one that was begun at `since` and has failed. */
  anew(key: string, requestHash: string, since: number): Promise<number | undefined>
  /** One that was begun at `since` is claimed once more; `isRepeat`: because it is sent again. Gives what `started` gives. */
  again(key: string, since: number, isRepeat: boolean): Promise<number | undefined>
  /** `ran: false`: it surely was not carried out. */
  done(key: string, requestHash: string, reply: KeptReply, ran: boolean): Promise<void>
  /** As `done`, for one that was begun at `since`; false when somebody else has begun it again or ended it. */
  conclude(key: string, since: number, reply: KeptReply, ran: boolean): Promise<boolean>
  /** The command surely did not run: if it comes again, it is new. Without effect unless it is begun since that moment. */
  forget(key: string, since: number): Promise<void>
}

/** A reply with the place where it goes, as the ledger keeps it. */
export interface KeptReply {
  readonly address: Address
  readonly message: Message
}

export function createLedger(
  store: LedgerStore,
  settings: Pick<Ledger, 'now' | 'quietMs' | 'shared' | 'startStopwatch'>,
): Ledger {
  const { now } = settings
  const unanswered = new Unanswered()
  const find = gather(async (keys: readonly string[]) => {
    const found = await store.find(keys)
    return keys.map((key) => found.get(key))
  })
  const started = gather(async (rows: Parameters<LedgerStore['started']>[0]) => {
    const fresh = await store.started(rows)
    return rows.map(({ key, startedAt }) => (fresh.has(key) ? startedAt : undefined))
  })
  const done = gather(async (rows: Parameters<LedgerStore['done']>[0]) => {
    await store.done(rows)
    return rows.map(() => undefined)
  })
  const forget = gather(async (rows: Parameters<LedgerStore['forget']>[0]) => {
    await store.forget(rows)
    return rows.map(() => undefined)
  })
  return {
    ...settings,
    async find(key) {
      const record = await find(key)
      if (record?.state !== 'started' || !unanswered.take(record.claim, 'first')) return record
      await unanswered.watch(record.claim, 'first', () => forget({ key, since: record.startedAt }))
      return undefined
    },
    started: (key, requestHash) => {
      const claim = newClaim()
      return unanswered.watch(claim, 'first', () => started({ key, requestHash, startedAt: now(), claim }))
    },
    anew: (key, requestHash, since) => {
      const row = { key, requestHash, startedAt: Math.max(now(), since + 1), claim: newClaim() }
      return unanswered.watch(row.claim, 'first', async () =>
        (await store.anew(since, row)) ? row.startedAt : undefined,
      )
    },
    async again(key, since, isRepeat) {
      // Never the same moment as before, by which two that look at once would both be the first.
      const startedAt = Math.max(now(), since + 1)
      const claim = newClaim()
      const isOurs = await unanswered.watch(claim, 'again', () =>
        store.again(key, since, { startedAt, claim, isRepeat }),
      )
      if (isOurs) return startedAt
      const record = await find(key)
      return record?.state === 'started' && unanswered.take(record.claim, 'again')
        ? record.startedAt
        : undefined
    },
    done: (key, requestHash, reply, ran) => {
      const at = now()
      return done({ key, requestHash, startedAt: at, finishedAt: at, reply: encodeKept(reply), ran })
    },
    conclude: (key, since, reply, ran) =>
      store.conclude(key, since, { finishedAt: now(), reply: encodeKept(reply), ran }),
    forget: (key, since) => forget({ key, since }),
  }
}

/**
 * Claims that the store was asked for and did not answer. It may have written them all the same; nothing was sent on them,
 * so a page with such a word on it is our own.
 */
class Unanswered {
  readonly #claims = new Map<string, Turn>()

  /** Remembers the claim when the store fails to answer. */
  async watch<T>(claim: string, turn: Turn, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      const [oldest] = this.#claims.keys()
      if (this.#claims.size >= MOST_UNANSWERED && oldest !== undefined) this.#claims.delete(oldest)
      this.#claims.set(claim, turn)
      throw error
    }
  }

  /** True for such a claim, once: it belongs to whoever asks first. */
  take(claim: string | undefined, turn: Turn): claim is string {
    if (claim === undefined || this.#claims.get(claim) !== turn) return false
    return this.#claims.delete(claim)
  }
}

/** `first`: the command has surely not left. `again`: it may have left before. */
type Turn = 'first' | 'again'

const MOST_UNANSWERED = 10_000

function newClaim(): string {
  return randomBytes(12).toString('base64url')
}

/** Two commands under one id. */
export const REUSED: Failure = {
  code: 'MESSAGE_ID_REUSED',
  description: 'Another command with the same id was carried out before',
  retryable: false,
  hint: 'Give every command an id of its own; repeat one only with the very same body.',
}

/** What to do when nobody knows how a write ended. */
export const LOOK = 'Look the object up in Bitrix24 before you send the command again under a new id.'

/** It was carried out; its reply is gone. */
export const NOT_KEPT: Failure = {
  code: 'REPLY_NOT_KEPT',
  description: 'The command was carried out before; its reply was too long to keep',
  retryable: false,
  hint: LOOK,
}

/** Headers that brokers, tracing and the way through the dead letters change from one delivery of a message to the next. */
const CHANGING = new Set(
  (
    'x-death x-first-death-exchange x-first-death-queue x-first-death-reason x-last-death-exchange ' +
    'x-last-death-queue x-last-death-reason x-delivery-count x-acquired-count traceparent tracestate x-b24-keep-reply ' +
    'x-b24-reason x-b24-queue'
  ).split(' '),
)

/** Tells one message from another by what it asks: body and headers, not by its ids. */
export function requestHash(message: Message): string {
  const hash = createHash('sha256').update(message.body)
  for (const name of Object.keys(message.headers).sort()) {
    if (CHANGING.has(name.toLowerCase()) || name.toLowerCase().startsWith('x-b24-dead-')) continue
    hash.update(`\n${name}=${JSON.stringify(message.headers[name])}`)
  }
  return hash.digest('base64url').slice(0, 24)
}

/** A reply as text for the store. */
export function encodeKept({ address, message }: KeptReply): string {
  return JSON.stringify({ address, message: { ...message, body: message.body.toString('utf8') } })
}

/** The reply again; `undefined` for text that is none. */
export function decodeKept(text: string | undefined): KeptReply | undefined {
  if (text === undefined) return undefined
  try {
    const { address, message } = JSON.parse(text) as {
      address: Address
      message: Omit<Message, 'body'> & { body: string; headers: Record<string, HeaderValue> }
    }
    return { address, message: { ...message, body: Buffer.from(message.body, 'utf8') } }
  } catch {
    return undefined
  }
}
