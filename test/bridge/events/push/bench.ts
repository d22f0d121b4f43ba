import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { expect, onTestFinished } from 'vitest'
import { createEventOutlet, eventTopology } from '../../../../src/bridge/events/outlet.ts'
import type { PushKey } from '../../../../src/bridge/events/push/event.ts'
import type { PushSupervisor } from '../../../../src/bridge/events/push/supervisor.ts'
import type { Message } from '../../../../src/brokers/broker.ts'
import { openEmbeddedBroker } from '../../../../src/brokers/embedded.ts'
import { type Environment, readConfig } from '../../../../src/config/read.ts'
import { BrokerError } from '../../../../src/model/errors.ts'
import type { Json } from '../../../../src/model/json.ts'
import { createSandbox, type Sandbox, type SandboxOptions } from '../../../../src/sandbox/index.ts'
import { type Foundation, openFoundation, openPortals } from '../../../../src/service/foundation.ts'
import { createPushPart } from '../../../../src/service/push.ts'
import { openStore } from '../../../../src/stores/open.ts'
import { saveApplication, saveInstallation } from '../../../../src/stores/queries/applications.ts'
import { savePortal } from '../../../../src/stores/queries/portals.ts'
import { saveTokens } from '../../../../src/stores/queries/tokens.ts'
import { eventually } from '../../../conformance/broker.ts'

export const APPLICATION = {
  clientId: 'local.push',
  clientSecret: 'marked-secret-of-push',
  scopes: ['pull', 'crm'],
}

/** A clock that runs by itself and can be set forward; the sandbox and the bridge share it. */
export interface Clock {
  readonly now: () => number
  forward(ms: number): void
}

export interface Consumed {
  readonly routingKey: string
  readonly message: Message
  // biome-ignore lint/suspicious/noExplicitAny: tests reach into any event
  readonly body: any
}

/** A process that listens: store, portals, broker, and what it is told. */
export interface Listening {
  readonly base: Foundation
  readonly supervisor: PushSupervisor
  /** For whom offline events were said to wait. */
  readonly offline: PushKey[]
  readonly gaps: PushKey[]
  /** The broker takes nothing while this is true. */
  away: boolean
  lines(event: string): Record<string, unknown>[]
  /** Everything that was logged. */
  all(): readonly string[]
  /** Ends it as a program that is stopped. */
  stop(): Promise<void>
}

export interface ListenOptions {
  readonly env?: Environment
  readonly leaseMs?: number
  readonly scanMs?: number
}

export interface PushBench {
  readonly folder: string
  /** The variables with which a process of its own listens. */
  readonly env: Environment
  readonly sandbox: Sandbox
  readonly clock: Clock
  readonly memberId: string
  /** Every event so far, in order of arrival. */
  readonly consumed: Consumed[]
  /** Begins another process at the same store. */
  listen(options?: ListenOptions): Promise<Listening>
  /** Says something on the application's channel. */
  say(command: string, more?: { readonly params?: Json; readonly expiry?: number }): string
  /** The commands that arrived, each once, in the order of their first arrival. */
  commands(): string[]
  /** Waits until all of these have arrived, and fails when one came twice under different keys, or in another order. */
  arrived(commands: readonly string[]): Promise<void>
  /** Waits for connections of the sandbox. */
  connections(count: number): Promise<void>
}

export async function openPushBench(
  options: { readonly sandbox?: SandboxOptions; readonly store?: string } = {},
): Promise<PushBench> {
  const folder = mkdtempSync(join(tmpdir(), 'b24-push-'))
  let shift = 0
  const clock: Clock = {
    now: () => Date.now() + shift,
    forward: (ms) => {
      shift += ms
    },
  }
  const sandbox = await createSandbox({
    limits: 'off',
    oauthPort: 0,
    applications: [APPLICATION],
    now: clock.now,
    ...options.sandbox,
    switches: { pushBufferMs: 20, ...options.sandbox?.switches },
  })
  const key = Buffer.alloc(32, 9).toString('base64')
  const env: Environment = {
    BRIDGE_BROKER: 'embedded',
    BRIDGE_STORE: options.store ?? `sqlite:${join(folder, 'bridge.db')}`,
    BRIDGE_SECRET_KEY: `k1:${key}`,
    BRIDGE_OAUTH_SERVERS: sandbox.oauthUrl,
    BRIDGE_LIMITS: 'off',
  }
  const portal = sandbox.identity()
  const closing: (() => Promise<unknown>)[] = []
  const consumed: Consumed[] = []
  const sink = `b24.test.sink.${randomUUID()}`

  async function listen(more: ListenOptions = {}): Promise<Listening> {
    const lines: string[] = []
    const logger = pino({ level: 'trace', base: null }, { write: (line: string) => void lines.push(line) })
    const config = readConfig({ env: { ...env, ...more.env }, cwd: folder })
    const ends: Foundation['closing'] = []
    const opened = await openFoundation(config, { logger }, ends)
    const base: Foundation = { ...(await openPortals(opened)), now: clock.now, closing: ends }
    if (closing.length === 0) await prepare(base, config.store)
    const outlet = createEventOutlet({ broker: base.broker })
    const offline: PushKey[] = []
    const gaps: PushKey[] = []
    const listening: Listening = {
      base,
      offline,
      gaps,
      away: false,
      supervisor: createPushPart(
        base,
        {
          ...outlet,
          async publish(event) {
            if (listening.away) throw new BrokerError('NOT_CONNECTED', 'The broker is away')
            await outlet.publish(event)
          },
        },
        {
          onOffline: (one) => offline.push(one),
          onGap: (one) => gaps.push(one),
          // The clock jumps by hours; the database's, by which leases are reckoned, does not.
          leaseMs: more.leaseMs ?? 10 * 24 * 3_600_000,
          scanMs: more.scanMs ?? 10_000,
        },
      ),
      lines: (event) => lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === event),
      all: () => lines,
      async stop() {
        for (const close of ends.splice(0).reverse()) await close()
      },
    }
    closing.push(() => listening.stop())
    listening.supervisor.start()
    return listening
  }

  /** The first process sets the table: tokens for the application, a queue for all events. */
  async function prepare({ store, secrets }: Foundation, address: string): Promise<void> {
    const now = Date.now()
    const { clientId } = APPLICATION
    const { memberId } = portal
    await saveApplication(store.db, secrets, { ...APPLICATION, name: 'Push' }, now)
    await savePortal(store.db, portal, now)
    await saveInstallation(store.db, { memberId, clientId, scope: APPLICATION.scopes }, now)
    const { token } = await sandbox.app({ do: 'token', clientId, userId: 1 })
    const pair = { accessToken: token!.access_token, refreshToken: token!.refresh_token }
    await saveTokens(store.db, secrets, { memberId, clientId, userId: '1' }, pair, now)
    const own = await openStore(address, { now: Date.now, exclusive: false })
    const broker = await openEmbeddedBroker({ db: own.db, now: Date.now, takeOver: false, pollMs: 20 })
    closing.push(async () => {
      await broker.close()
      await own.close()
    })
    const { exchanges, queues } = eventTopology()
    await broker.declare({
      mode: 'declare',
      exchanges,
      queues: [...queues, { name: sink, durable: true, type: 'quorum' }],
      bindings: [{ queue: sink, exchange: exchanges[0]!.name, routingKey: 'push.#' }],
    })
    await broker.consume(sink, { prefetch: 500 }, (delivery) => {
      const { message, routingKey } = delivery
      consumed.push({ routingKey, message, body: JSON.parse(message.body.toString()) })
      delivery.ack()
    })
  }

  onTestFinished(async () => {
    for (const close of closing.reverse()) await close()
    await sandbox.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const byKey = (): Consumed[] =>
    [...new Map(consumed.toReversed().map((one) => [one.message.messageId, one])).values()].reverse()
  return {
    folder,
    env,
    sandbox,
    clock,
    memberId: portal.memberId,
    consumed,
    listen,
    say: (command, more = {}) =>
      sandbox.push({ do: 'send', command, clientId: APPLICATION.clientId, ...more }).mid ?? '',
    commands: () => byKey().map(({ body }) => body.event),
    async arrived(commands) {
      await eventually(() => {
        const seen = byKey().map(({ body }) => body.event)
        for (const command of commands) expect(seen).toContain(command)
      }, 10_000)
      const seen = byKey().map(({ body }) => body.event)
      expect(seen.filter((one) => commands.includes(one))).toEqual(commands)
    },
    async connections(count) {
      await eventually(() => expect(sandbox.pushState().connections).toHaveLength(count), 10_000)
    },
  }
}
