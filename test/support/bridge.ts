import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { expect } from 'vitest'
import { openAmqpBroker } from '../../src/brokers/amqp.ts'
import type { Broker, HeaderValue, Message } from '../../src/brokers/broker.ts'
import { openEmbeddedBroker } from '../../src/brokers/embedded.ts'
import { type Environment, readConfig } from '../../src/config/read.ts'
import { createSandbox, type Sandbox, type SandboxOptions } from '../../src/sandbox/index.ts'
import { type Service, startService } from '../../src/service.ts'
import { openStore } from '../../src/stores/open.ts'
import { eventually } from '../conformance/broker.ts'
import { amqpNote, amqpUrl } from './engines.ts'

/** The brokers that every suite about the whole bridge runs on; a missing RabbitMQ is skipped aloud. */
export const BROKERS = [
  { name: 'on the embedded broker', kind: 'embedded', skip: false },
  { name: `on RabbitMQ${amqpNote}`, kind: 'amqp', skip: amqpUrl === undefined },
] as const

export type BrokerKind = (typeof BROKERS)[number]['kind']
export type ContractName = 'native' | 'bitrix24-bridge' | 'rabbitmq-to-bitrix24'

export const ADMIN_TOKEN = 'adm1n-t0ken-of-the-tests'

/** Texts that must never be seen outside: the webhook's code, the broker's password, the token of the HTTP side. */
const SECRETS = ['s3cr3t', 'guest:guest', ADMIN_TOKEN]

export interface BenchOptions {
  readonly broker: BrokerKind
  readonly contract?: ContractName
  readonly sandbox?: SandboxOptions
  /** Variables of the environment besides those that every bench sets. */
  readonly env?: Environment
  /** The broker's address for the bridge, when it is not the tests' own: a proxy. */
  readonly brokerUrl?: string
  /** False leaves the bridge stopped until `start`. */
  readonly started?: boolean
}

/** What the sender sees of a reply. */
export interface Reply {
  readonly message: Message
  /** The JSON in the body. */
  // biome-ignore lint/suspicious/noExplicitAny: tests reach into any reply
  readonly body: any
}

/** A sandbox, a broker and a bridge between them, with a producer's own connection to the broker. */
export interface Bench extends AsyncDisposable {
  readonly sandbox: Sandbox
  readonly tool: Broker
  readonly commandQueue: string
  readonly replyQueue: string
  readonly deadQueue: string
  /** The variables with which the bridge runs, also for a child process. */
  readonly env: Environment
  readonly folder: string
  /** Every reply so far, in order of arrival. */
  readonly replies: Reply[]
  service: Service
  /** Starts the bridge, with other variables when they are given. */
  start(env?: Environment): Promise<Service>
  /** Publishes a command; a text or bytes go as they are. Gives its id. */
  send(body: unknown, more?: Partial<Message>, queue?: string): Promise<string>
  /** The one reply to a command, waiting for it. */
  reply(id: string, withinMs?: number): Promise<Reply>
  /** Sends and waits. */
  ask(body: unknown, more?: Partial<Message>): Promise<Reply>
  repliesTo(id: string): Reply[]
  /** Takes what is in the dead letter queue. */
  dead(): Promise<Message[]>
  logs(): string
  logged(event: string): Record<string, unknown>[]
  /** Fails when a command has no reply or two, when a secret got out, or when a limit of the portal was passed. */
  account(options?: { readonly overLimit?: boolean; readonly twice?: boolean }): Promise<void>
}

export async function openBench(options: BenchOptions): Promise<Bench> {
  const contract = options.contract ?? 'native'
  const folder = mkdtempSync(join(tmpdir(), 'b24-bench-'))
  const sandbox = await createSandbox({ limits: 'off', deals: 60, ...options.sandbox })
  const suffix = randomUUID()
  // Outside of the native contract the name of the dead letter queue is fixed.
  const deadQueue = contract === 'native' ? `b24.test.dead.${suffix}` : 'b24.dead'
  const commandQueue = `b24.test.commands.${suffix}`
  const replyQueue = `b24.test.replies.${suffix}`
  const exchange = `b24.test.exchange.${suffix}`
  const store = `sqlite:${join(folder, 'bridge.db')}`
  const env: Environment = {
    BRIDGE_BROKER: options.broker === 'embedded' ? 'embedded' : (options.brokerUrl ?? amqpUrl!),
    BRIDGE_STORE: store,
    BRIDGE_PORTAL: sandbox.webhookUrl,
    BRIDGE_HTTP: '127.0.0.1:0',
    BRIDGE_ADMIN_TOKEN: ADMIN_TOKEN,
    BRIDGE_CONTRACT: contract,
    BRIDGE_COMMAND_QUEUE: commandQueue,
    BRIDGE_REPLY_QUEUE: replyQueue,
    ...(contract === 'native' ? { BRIDGE_DEAD_QUEUE: deadQueue } : {}),
    ...(contract === 'bitrix24-bridge' ? { BRIDGE_EXCHANGE: exchange } : {}),
    ...(contract === 'rabbitmq-to-bitrix24'
      ? { BRIDGE_TOPOLOGY: 'declare', BRIDGE_REST: `${sandbox.url}/rest/`, BRIDGE_REPLY_MODE: 'queue' }
      : {}),
    BRIDGE_LIMITS: 'off',
    BRIDGE_PORTAL_WAIT: '5',
    BRIDGE_REQUEST_TIMEOUT: '3',
    BRIDGE_DRAIN_TIMEOUT: '10',
    // Tests look into the queue themselves.
    BRIDGE_DEAD_LETTERS: 'queue',
    ...options.env,
  }
  const lines: string[] = []
  const logger = pino({ level: 'trace', base: null }, { write: (line: string) => void lines.push(line) })

  const toolStore =
    options.broker === 'embedded' ? await openStore(store, { now: Date.now, exclusive: false }) : undefined
  const tool =
    toolStore === undefined
      ? await openAmqpBroker({ url: amqpUrl!, name: 'b24-test', random: Math.random, now: Date.now })
      : await openEmbeddedBroker({ db: toolStore.db, now: Date.now, takeOver: false, pollMs: 20 })
  const queueType = contract === 'native' ? 'quorum' : 'plain'
  const spec = (name: string, type: 'quorum' | 'plain') => ({ name, durable: true, type })
  await tool.declare({
    mode: 'declare',
    exchanges: [],
    queues: [spec(commandQueue, queueType), spec(replyQueue, queueType), spec(deadQueue, 'quorum')],
    bindings: [],
  })
  const sent = new Set<string>()
  const letters: Message[] = []
  const replies: Reply[] = []
  const byId = new Map<string, Reply[]>()
  const repliesTo = (id: string): Reply[] => byId.get(id) ?? []
  await tool.consume(replyQueue, { prefetch: 500 }, (delivery) => {
    const { message } = delivery
    const reply = { message, body: readJson(message.body) }
    const id = message.correlationId ?? message.messageId ?? ''
    const known = repliesTo(id)
    // The broker may hand a reply to us twice: a service that starts on the same file takes over what is not acknowledged.
    const again = delivery.redelivered && known.some((one) => one.message.messageId === message.messageId)
    if (!again) {
      replies.push(reply)
      byId.set(id, [...known, reply])
    }
    delivery.ack()
  })

  const bench: Bench = {
    sandbox,
    tool,
    commandQueue,
    replyQueue,
    deadQueue,
    env,
    folder,
    replies,
    service: undefined as unknown as Service,
    async start(other = env) {
      bench.service = await startService(readConfig({ env: other, cwd: folder }), { logger })
      return bench.service
    },
    async send(body, more = {}, queue = commandQueue) {
      const messageId = more.messageId ?? randomUUID()
      const bytes = Buffer.isBuffer(body)
        ? body
        : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
      sent.add(messageId)
      await tool.publish(
        { exchange: '', routingKey: queue },
        { headers: {}, ...more, body: bytes, messageId },
      )
      return messageId
    },
    async reply(id, withinMs = 10_000) {
      await eventually(() => expect(repliesTo(id), `replies to ${id}`).not.toHaveLength(0), withinMs)
      return repliesTo(id)[0]!
    },
    ask: async (body, more) => bench.reply(await bench.send(body, more)),
    repliesTo,
    async dead() {
      const taken: Message[] = []
      for (;;) {
        const letter = await tool.get(deadQueue)
        if (letter === undefined) break
        letter.ack()
        taken.push(letter.message)
      }
      letters.push(...taken)
      return taken
    },
    logs: () => lines.join(''),
    logged: (event) =>
      lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter((line) => line.msg === event),
    async account({ overLimit = false, twice = false } = {}) {
      await eventually(() => {
        expect(
          [...sent].filter((id) => repliesTo(id).length === 0),
          'without a reply',
        ).toEqual([])
      }, 20_000)
      const more = [...sent].filter((id) => repliesTo(id).length > 1)
      if (!twice) expect(more, 'with two replies').toEqual([])
      const { log = [], refused } = sandbox.stats(undefined, true)
      const added = log.filter(({ method }) => method.endsWith('.add')).map(({ title }) => String(title))
      const seen = new Set<string>()
      expect(
        added.filter((title) => seen.size === seen.add(title).size),
        'written twice',
      ).toEqual([])
      if (!overLimit) expect(refused.QUERY_LIMIT_EXCEEDED, 'requests over the limit').toBeUndefined()
      if (contract === 'native') await bench.dead()
      const outside = [
        ...lines,
        ...replies.map(({ message }) => textOf(message)),
        ...letters.map((letter) => textOf(letter)),
      ].join('\n')
      for (const secret of SECRETS) expect(outside.includes(secret), `${secret} got out`).toBe(false)
    },
    async [Symbol.asyncDispose]() {
      await bench.service?.stop()
      if (options.broker === 'amqp') {
        for (const queue of [commandQueue, `${commandQueue}.ordered`, replyQueue])
          await tool.deleteQueue(queue)
        if (contract === 'native') await tool.deleteQueue(deadQueue)
        if (contract === 'bitrix24-bridge') await tool.deleteExchange(exchange)
      }
      await tool.close()
      await toolStore?.close()
      await sandbox.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  if (options.started !== false) await bench.start()
  return bench
}

function textOf({ body, ...properties }: Message): string {
  return `${JSON.stringify(properties as Record<string, HeaderValue | undefined>)} ${body.toString('latin1')}`
}

function readJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch {
    return undefined
  }
}

/** A write whose title tells it from all others; the sandbox's log of writes is searched for it. */
export function addDeal(title: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return { method: 'crm.deal.add', params: { fields: { TITLE: title } }, ...more }
}
