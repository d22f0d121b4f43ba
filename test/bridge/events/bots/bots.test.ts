import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pino from 'pino'
import { expect, it, onTestFinished } from 'vitest'
import { BotFetch, type FetchParts } from '../../../../src/bridge/events/bots/fetch.ts'
import { createBotFetchers } from '../../../../src/bridge/events/bots/fetchers.ts'
import { readConfig } from '../../../../src/config/read.ts'
import { BrokerError } from '../../../../src/model/errors.ts'
import type { PortalEvent } from '../../../../src/model/event.ts'
import { createSandbox, type Sandbox } from '../../../../src/sandbox/index.ts'
import { type Foundation, openFoundation, openPortals } from '../../../../src/service/foundation.ts'
import { botRecords } from '../../../../src/stores/bots.ts'
import { saveApplication, saveInstallation } from '../../../../src/stores/queries/applications.ts'
import { savePortal } from '../../../../src/stores/queries/portals.ts'
import { saveApplied } from '../../../../src/stores/queries/subscriptions.ts'
import { saveTokens } from '../../../../src/stores/queries/tokens.ts'
import { eventually } from '../../../conformance/broker.ts'

const CLIENT_ID = 'local.bots'
const APPLICATION = { clientId: CLIENT_ID, clientSecret: 'marked-secret-of-bots', scopes: ['imbot', 'im'] }
const SOURCE_CODES = ['helper']

interface Bench {
  readonly sandbox: Sandbox
  readonly base: Foundation
  readonly memberId: string
  readonly botId: number
  /** What the broker took. */
  readonly published: PortalEvent[]
  readonly aside: PortalEvent[]
  /** Says what the broker does with an event; throws to refuse it. */
  broker: (event: PortalEvent) => void
  parts(limit?: number): FetchParts
  /** One that looks at the bots, as of a process that holds the right to them. */
  fetch(limit?: number): BotFetch
  /** Fetchers of a process of this name. */
  listen(owner: string): ReturnType<typeof createBotFetchers>
  register(code: string, more?: object): Promise<number>
  subscribe(codes: readonly string[]): Promise<void>
  say(...texts: string[]): Promise<void>
  /** Events that still wait on the portal. */
  waiting(): number
  texts(): string[]
}

/** A portal with a bot that has no address, and a bridge that knows of it. */
async function openBench(): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'b24-bots-'))
  const sandbox = await createSandbox({ limits: 'off', oauthPort: 0, applications: [APPLICATION] })
  const ends: Foundation['closing'] = []
  const env = {
    BRIDGE_BROKER: 'embedded',
    BRIDGE_STORE: `sqlite:${join(folder, 'bridge.db')}`,
    BRIDGE_SECRET_KEY: `k1:${Buffer.alloc(32, 9).toString('base64')}`,
    BRIDGE_OAUTH_SERVERS: sandbox.oauthUrl,
    BRIDGE_LIMITS: 'off',
  }
  const logger = pino({ level: 'silent' })
  const base = await openPortals(await openFoundation(readConfig({ env, cwd: folder }), { logger }, ends))
  onTestFinished(async () => {
    for (const close of ends.reverse()) await close()
    await sandbox.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const portal = sandbox.identity()
  const { memberId } = portal
  const { store, secrets } = base
  const now = Date.now()
  await saveApplication(store.db, secrets, { ...APPLICATION, name: 'Bots' }, now)
  await savePortal(store.db, portal, now)
  await saveInstallation(store.db, { memberId, clientId: CLIENT_ID, scope: APPLICATION.scopes }, now)
  const { token } = await sandbox.app({ do: 'token', clientId: CLIENT_ID, userId: 1 })
  const pair = { accessToken: token!.access_token, refreshToken: token!.refresh_token }
  await saveTokens(store.db, secrets, { memberId, clientId: CLIENT_ID, userId: '1' }, pair, now)

  const register = async (code: string, more: object = {}): Promise<number> => {
    const fields = { code, properties: { name: code }, eventMode: 'fetch', ...more }
    const answer = await fetch(`${portal.clientEndpoint}imbot.v2.Bot.register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ fields, auth: token!.access_token }),
    })
    return ((await answer.json()) as { result: { bot: { id: number } } }).result.bot.id
  }
  const botId = await register('helper')
  const published: PortalEvent[] = []
  const aside: PortalEvent[] = []
  const bench: Bench = {
    sandbox,
    base,
    memberId,
    botId,
    published,
    aside,
    broker: () => undefined,
    parts: (limit = 100) => ({
      portals: base.portals,
      outlet: {
        async publish(event) {
          bench.broker(event)
          published.push(event)
        },
      },
      setAside: async (event) => aside.push(event) > 0,
      limit,
      now: Date.now,
      log: () => undefined,
    }),
    fetch(limit) {
      const signals = { lost: new AbortController().signal, stop: new AbortController().signal }
      const source = { memberId, clientId: CLIENT_ID, codes: SOURCE_CODES }
      return new BotFetch(source, bench.parts(limit), signals)
    },
    listen(owner) {
      const fetchers = createBotFetchers({
        ...bench.parts(),
        store: botRecords(store.db),
        owner,
        random: Math.random,
        pollMs: 50,
        sourcesMs: 50,
      })
      ends.push(() => fetchers.close())
      fetchers.start()
      return fetchers
    },
    register,
    async subscribe(codes) {
      const bots = codes.map((code) => ({ code, version: 2, name: code, fetch: true }))
      const document = JSON.stringify({ portals: '*', bots })
      const row = { memberId, clientId: CLIENT_ID, document, base: '', remembered: '{}', appliedAt: 1 }
      await saveApplied(store.db, row)
    },
    async say(...texts) {
      for (const text of texts) await sandbox.trigger({ do: 'say', botId, text, userId: 2 })
    },
    waiting: () => sandbox.work().bots.find(({ id }) => id === botId)?.queued ?? 0,
    texts: () => published.map(({ data }) => String((data.message as { text?: string }).text)),
  }
  return bench
}

const tooLarge = (): never => {
  throw new BrokerError('MESSAGE_TOO_LARGE', 'It is too large')
}
const away = (): never => {
  throw new BrokerError('NOT_CONNECTED', 'The broker is away')
}

it('events of a bot are published in order, and confirmed by the look that follows', async () => {
  const bench = await openBench()
  await bench.say('one', 'two', 'three')
  const bots = bench.fetch()
  expect(await bots.look()).toEqual({ events: 3, more: false })
  expect(bench.texts()).toEqual(['one', 'two', 'three'])
  expect(bench.published[0]).toMatchObject({
    kind: 'bot',
    event: 'ONIMBOTV2MESSAGEADD',
    application: CLIENT_ID,
    userId: '2',
    data: { bot: { id: bench.botId, code: 'helper' }, message: { authorId: 2, isSystem: false } },
  })
  expect(bench.waiting()).toBe(3)
  await bench.say('four')
  expect(await bots.look()).toEqual({ events: 1, more: false })
  expect(bench.texts()).toEqual(['one', 'two', 'three', 'four'])
  expect(bench.waiting()).toBe(1)
  await bots.finish()
  expect(bench.waiting()).toBe(0)
})

it('nothing is confirmed that the broker does not have; what it has is not offered again', async () => {
  const bench = await openBench()
  await bench.say('one', 'two', 'three', 'four')
  bench.broker = () => bench.published.length >= 2 && away()
  const bots = bench.fetch()
  expect(await bots.look()).toMatchObject({ events: 2, trouble: { code: 'NOT_CONNECTED' } })
  expect(await bots.look()).toMatchObject({ events: 0, trouble: { code: 'NOT_CONNECTED' } })
  expect(bench.waiting()).toBe(2)
  bench.broker = () => undefined
  expect(await bots.look()).toEqual({ events: 2, more: false })
  expect(bench.texts()).toEqual(['one', 'two', 'three', 'four'])
})

it('what a process published and did not confirm before it died comes again, under the same keys', async () => {
  const bench = await openBench()
  await bench.say('one', 'two')
  await bench.fetch().look()
  expect(bench.waiting()).toBe(2)
  const next = bench.fetch()
  await next.look()
  expect(bench.texts()).toEqual(['one', 'two', 'one', 'two'])
  const keys = bench.published.map(({ key }) => key)
  expect(keys.slice(2)).toEqual(keys.slice(0, 2))
  expect(keys[0]).not.toBe(keys[1])
  await next.finish()
  expect(bench.waiting()).toBe(0)
})

it('a lost answer loses nothing: the same events are asked for again', async () => {
  const bench = await openBench()
  await bench.say('one')
  const bots = bench.fetch()
  bench.sandbox.fault([{ kind: 'reset-after', match: { method: 'imbot.v2.event.get' } }])
  for (let looks = 0; bench.published.length === 0 && looks < 5; looks++) await bots.look()
  expect(bench.texts()).toEqual(['one'])
})

it('many events come page by page', async () => {
  const bench = await openBench()
  await bench.say('one', 'two', 'three', 'four', 'five')
  const bots = bench.fetch(2)
  expect([await bots.look(), await bots.look(), await bots.look()]).toEqual([
    { events: 2, more: true },
    { events: 2, more: true },
    { events: 1, more: false },
  ])
  expect(bench.texts()).toEqual(['one', 'two', 'three', 'four', 'five'])
})

it('an event that no broker can carry is set aside and keeps nobody waiting', async () => {
  const bench = await openBench()
  await bench.say('one', 'huge', 'three')
  bench.broker = ({ data }) => (data.message as { text: string }).text === 'huge' && tooLarge()
  const bots = bench.fetch()
  expect(await bots.look()).toMatchObject({ more: false })
  expect(bench.texts()).toEqual(['one', 'three'])
  expect(bench.aside).toHaveLength(1)
  await bots.finish()
  expect(bench.waiting()).toBe(0)
})

it('only bots that a subscription names and that have no address are asked for', async () => {
  const bench = await openBench()
  const other = await bench.register('somebody-else')
  await bench.register('posted', { eventMode: 'webhook', webhookUrl: 'https://bot.example/' })
  await bench.sandbox.trigger({ do: 'say', botId: other, text: 'not for us', userId: 2 })
  await bench.say('for us')
  const bots = bench.fetch()
  await bots.look()
  await bots.finish()
  expect(bench.texts()).toEqual(['for us'])
  expect(bench.sandbox.work().bots.find(({ id }) => id === other)?.queued).toBe(1)
})

it('one process asks at a time, and another goes on when it stops', async () => {
  const bench = await openBench()
  await bench.subscribe(['Helper'])
  const first = bench.listen('first')
  await eventually(() => expect(first.stats().ready).toBe(1), 5000)
  const second = bench.listen('second')
  await bench.say('one', 'two')
  await eventually(() => expect(bench.texts()).toEqual(['one', 'two']), 5000)
  // Long enough for the second one to have asked, if it did.
  await sleep(300)
  expect(second.stats().ready).toBe(0)
  await first.close()
  expect(bench.waiting()).toBe(0)
  await bench.say('three')
  await eventually(() => expect(bench.texts()).toEqual(['one', 'two', 'three']), 5000)
  expect(second.stats().ready).toBe(1)
})

it('bots that no subscription names any more are left alone', async () => {
  const bench = await openBench()
  await bench.subscribe(['helper'])
  const fetchers = bench.listen('first')
  await bench.say('one')
  await eventually(() => expect(bench.texts()).toEqual(['one']), 5000)
  await bench.subscribe([])
  await eventually(() => expect(fetchers.stats().ready).toBe(0), 5000)
  await bench.say('two')
  await sleep(200) // Nothing shows that nobody asks.
  expect(bench.texts()).toEqual(['one'])
  await bench.subscribe(['helper'])
  await eventually(() => expect(bench.texts()).toEqual(['one', 'two']), 5000)
})

it('says when bots cannot be looked at, and when they can again', async () => {
  const bench = await openBench()
  await bench.subscribe(['helper'])
  const fetchers = bench.listen('first')
  await eventually(() => expect(fetchers.stats()).toEqual({ ready: 1, trouble: 0 }), 5000)
  bench.broker = away
  await bench.say('one')
  await eventually(() => expect(fetchers.stats()).toEqual({ ready: 0, trouble: 1 }), 5000)
  bench.broker = () => undefined
  await eventually(() => expect(bench.texts()).toEqual(['one']), 10_000)
  await eventually(() => expect(fetchers.stats()).toEqual({ ready: 1, trouble: 0 }), 5000)
})

it('bots that the portal refused are tried again as soon as something there has changed', async () => {
  const bench = await openBench()
  bench.sandbox.fault([
    {
      kind: 'refuse',
      match: { method: 'imbot.v2.bot.list' },
      error: { error: 'ACCESS_DENIED', error_description: 'Access denied!' },
    },
  ])
  await bench.subscribe(['helper'])
  await bench.say('one')
  const fetchers = bench.listen('first')
  await eventually(() => expect(fetchers.stats()).toEqual({ ready: 0, trouble: 1 }), 5000)
  await sleep(300) // Nothing shows that it rests.
  expect(bench.texts()).toEqual([])
  fetchers.changed(bench.memberId)
  await eventually(() => expect(bench.texts()).toEqual(['one']), 5000)
  expect(bench.published[0]).toMatchObject({ application: CLIENT_ID })
})
