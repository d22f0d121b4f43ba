import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { expect, onTestFinished } from 'vitest'
import { handlerUrl } from '../../src/bridge/events/handler-url.ts'
import { openAmqpBroker } from '../../src/brokers/amqp.ts'
import type { Broker, Message } from '../../src/brokers/broker.ts'
import { openEmbeddedBroker } from '../../src/brokers/embedded.ts'
import { type Environment, readConfig } from '../../src/config/read.ts'
import { createSandbox, type Sandbox } from '../../src/sandbox/index.ts'
import { type Service, startService } from '../../src/service.ts'
import { openStore } from '../../src/stores/open.ts'
import { addApplicationToken } from '../../src/stores/queries/application-tokens.ts'
import { saveApplication } from '../../src/stores/queries/applications.ts'
import { openSealer } from '../../src/stores/seal.ts'
import { openSecrets, type Secrets } from '../../src/stores/secrets.ts'
import type { Store } from '../../src/stores/store.ts'
import { eventually } from '../conformance/broker.ts'
import type { BrokerKind } from './bridge.ts'
import { amqpUrl } from './engines.ts'

export const CLIENT_ID = 'local.events'
export const CLIENT_SECRET = 'marked-secret-of-events'
/** The token of an outgoing webhook of the portal. */
export const WEBHOOK_TOKEN = 'marked-0123456789-webhook-token'
const SECRET_KEY = `k1:${Buffer.alloc(32, 7).toString('base64')}`

/** An event as a consumer finds it. */
export interface Consumed {
  readonly routingKey: string
  readonly message: Message
  // biome-ignore lint/suspicious/noExplicitAny: tests reach into any event
  readonly body: any
}

/** A bridge whose application is installed on a sandbox, and a consumer of all its events. */
export interface EventBench {
  readonly sandbox: Sandbox
  readonly env: Environment
  readonly folder: string
  readonly store: Store
  readonly secrets: Secrets
  readonly tool: Broker
  readonly exchange: string
  service: Service
  readonly memberId: string
  /** What proves events of the application. */
  applicationToken: string
  /** All events so far, in order of arrival. */
  readonly consumed: Consumed[]
  start(): Promise<Service>
  /** Posts a form to the bridge; a record is written as one. */
  post(form: string | Readonly<Record<string, string>>, more?: PostOptions): Promise<Posted>
  /** The fields of `auth` that prove the application. */
  auth(more?: Readonly<Record<string, string>>): Record<string, string>
  /** A changed deal, as a form of the application. */
  deal(id: number): Record<string, string>
  /** Ids of the deals that were changed, each message once, in order of arrival. */
  deals(): number[]
  /** The handler address with its key. */
  handler(): string
  /** The events of a name, waiting until there are so many. */
  events(name: string, count?: number): Promise<Consumed[]>
  logs(): string
}

export interface PostOptions {
  /** Of the bridge, or a whole address. */
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface Posted {
  readonly status: number
  readonly text: string
}

export async function openEventBench(
  options: {
    readonly broker?: BrokerKind
    readonly brokerUrl?: string
    /** Of a store that is there and empty; a file of its own unless given. */
    readonly storeUrl?: string
    readonly env?: Environment | ((sandbox: Sandbox) => Environment)
  } = {},
): Promise<EventBench> {
  const kind = options.broker ?? 'embedded'
  const folder = mkdtempSync(join(tmpdir(), 'b24-events-'))
  const sandbox = await createSandbox({ limits: 'off', oauthPort: 0 })
  const exchange = `b24.test.events.${randomUUID()}`
  const address = options.storeUrl ?? `sqlite:${join(folder, 'bridge.db')}`
  const env: Environment = {
    BRIDGE_BROKER: kind === 'embedded' ? 'embedded' : (options.brokerUrl ?? amqpUrl!),
    BRIDGE_STORE: address,
    BRIDGE_SECRET_KEY: SECRET_KEY,
    BRIDGE_HTTP: '127.0.0.1:0',
    BRIDGE_OAUTH_SERVERS: sandbox.oauthUrl,
    BRIDGE_COMMAND_QUEUE: `b24.test.commands.${randomUUID()}`,
    BRIDGE_REPLY_QUEUE: `b24.test.replies.${randomUUID()}`,
    BRIDGE_DEAD_QUEUE: `b24.test.dead.${randomUUID()}`,
    BRIDGE_EVENTS_EXCHANGE: exchange,
    BRIDGE_LOG_LEVEL: 'trace',
    ...(typeof options.env === 'function' ? options.env(sandbox) : options.env),
  }
  const lines: string[] = []
  const logger = pino({ level: 'trace', base: null }, { write: (line: string) => void lines.push(line) })
  const store = await openStore(address, { now: Date.now, exclusive: false })
  const secrets = await openSecrets(store.db, openSealer({ keys: SECRET_KEY }), Date.now)
  await saveApplication(
    store.db,
    secrets,
    { clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, name: 'Events' },
    Date.now(),
  )
  const tool =
    kind === 'embedded'
      ? await openEmbeddedBroker({ db: store.db, now: Date.now, takeOver: false, pollMs: 20 })
      : await openAmqpBroker({ url: amqpUrl!, name: 'b24-test', random: Math.random, now: Date.now })
  const queue = `b24.test.sink.${randomUUID()}`
  await tool.declare({
    mode: 'declare',
    exchanges: [{ name: exchange, type: 'topic', durable: true }],
    queues: [{ name: queue, durable: true, type: 'quorum' }],
    bindings: [{ queue, exchange, routingKey: '#' }],
  })
  const consumed: Consumed[] = []
  await tool.consume(queue, { prefetch: 500 }, (delivery) => {
    const { message, routingKey } = delivery
    consumed.push({ routingKey, message, body: JSON.parse(message.body.toString()) })
    delivery.ack()
  })
  const { memberId } = sandbox.identity()
  const bench: EventBench = {
    sandbox,
    env,
    folder,
    store,
    secrets,
    tool,
    exchange,
    service: undefined as unknown as Service,
    memberId,
    applicationToken: '',
    consumed,
    async start() {
      bench.service = await startService(readConfig({ env, cwd: folder }), { logger })
      return bench.service
    },
    async post(form, { path = '/b24/events', method = 'POST', headers = {} } = {}) {
      const answer = await fetch(new URL(path, bench.service.url), {
        method,
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        ...(method === 'GET' || method === 'HEAD'
          ? {}
          : { body: typeof form === 'string' ? form : new URLSearchParams(form).toString() }),
      })
      return { status: answer.status, text: await answer.text() }
    },
    auth: (more = {}) => ({
      'auth[member_id]': memberId,
      'auth[domain]': sandbox.identity().domain,
      'auth[application_token]': bench.applicationToken,
      ...more,
    }),
    deal: (id) => ({
      event: 'ONCRMDEALUPDATE',
      'data[FIELDS][ID]': String(id),
      ts: '1727018926',
      ...bench.auth(),
    }),
    deals() {
      const found = consumed.filter(({ body }) => body.event === 'ONCRMDEALUPDATE')
      const once = new Map(found.map(({ body }) => [body.key as string, Number(body.data.FIELDS.ID)]))
      return [...once.values()]
    },
    handler() {
      const url = new URL(handlerUrl(bench.service.url, memberId, (text) => secrets.fingerprint(text)))
      return `${url.pathname}${url.search}`
    },
    async events(name, count = 1) {
      const found = () => consumed.filter(({ body }) => body.event === name)
      await eventually(() => expect(found().length, `${name} events`).toBeGreaterThanOrEqual(count), 10_000)
      return found()
    },
    logs: () => lines.join(''),
  }
  onTestFinished(async () => {
    await bench.service?.stop()
    if (kind === 'amqp') {
      for (const name of [queue, `${exchange}.unrouted`]) await tool.deleteQueue(name)
      for (const name of ['COMMAND', 'REPLY', 'DEAD'])
        await tool.deleteQueue(env[`BRIDGE_${name}_QUEUE`] as string)
      await tool.deleteExchange(exchange)
    }
    await tool.close()
    await store.close()
    await sandbox.close()
    rmSync(folder, { recursive: true, force: true })
  })
  await bench.start()
  sandbox.addApplication({
    clientId: CLIENT_ID,
    clientSecret: CLIENT_SECRET,
    title: 'Events',
    hasUi: false,
    eventUrl: `${bench.service.url}/b24/events`,
  })
  const installed = await sandbox.app({ do: 'install', clientId: CLIENT_ID })
  expect(installed.deliveries).toMatchObject([{ event: 'ONAPPINSTALL', status: 200 }])
  bench.applicationToken = installed.applicationToken
  await addApplicationToken(
    store.db,
    secrets,
    { memberId, label: 'outgoing webhook', token: WEBHOOK_TOKEN },
    Date.now(),
  )
  return bench
}
