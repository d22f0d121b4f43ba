import { randomUUID } from 'node:crypto'
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { openAmqpBroker } from '../../../src/brokers/amqp.ts'
import type { Broker } from '../../../src/brokers/broker.ts'
import type { Environment } from '../../../src/config/read.ts'
import { createSandbox, type Sandbox, type SandboxOptions } from '../../../src/sandbox/index.ts'
import { openStore } from '../../../src/stores/open.ts'
import { saveWebhook } from '../../../src/stores/queries/webhooks.ts'
import { unlockStore } from '../../../src/stores/unlock.ts'
import { eventually } from '../../conformance/broker.ts'
import { type Account, type Allowances, audit, NO_BREACHES, type Seen, type SeenReply } from './account.ts'
import { postgresCluster, rabbitNode, VARIABLES } from './engines.ts'
import { Fleet } from './fleet.ts'
import { Load, type Share } from './load.ts'
import type { PostgresCluster } from './postgres.ts'
import { createRandom, SEED } from './profile.ts'
import { WildProxy } from './proxy.ts'
import type { RabbitNode } from './rabbitmq.ts'

export interface RigOptions {
  /** In the account, and in front of each key. */
  readonly name: string
  /** Bridges to start; 1. */
  readonly bridges?: number
  /** Where they keep what they must remember; `postgres`. */
  readonly store?: 'postgres' | 'sqlite'
  /** Portals besides the bridge's own; 0. */
  readonly portals?: number
  /** Requests that a portal takes at once, and a second; none unless given. */
  readonly limit?: { readonly capacity: number; readonly drainPerSecond: number }
  readonly sandbox?: SandboxOptions
  readonly mix?: readonly Share[]
  /** All commands belong into one order, and go by the queue for such; false. */
  readonly ordered?: boolean
  /** The command queue is a classic one, which counts no deliveries, and bridges may make none; false. */
  readonly classic?: boolean
  readonly env?: Environment
  /** Seconds between the signs of life that bridge and broker give each other; 2, so that a test need not wait long. */
  readonly heartbeat?: number
}

/** Texts that must never be seen outside: the webhook's code, the broker's password. */
const SECRETS = ['s3cr3t', 'guest:guest']
const SECRET_KEY = `k1:${Buffer.alloc(32, 7).toString('base64')}`
const DEALS = 60

/** Real engines, portals, bridges as processes, a producer, and the three logs that are compared at the end. */
export interface Rig {
  readonly sandbox: Sandbox
  /** Domains of the portals besides the bridge's own. */
  readonly portals: readonly string[]
  readonly node: RabbitNode
  readonly cluster: PostgresCluster
  /** The ways from the bridges to the broker, and to the database where there is a server. */
  readonly brokerWay: WildProxy
  readonly storeWay: WildProxy | undefined
  /** The way to the bridge's own portal. */
  readonly portalWay: WildProxy
  readonly fleet: Fleet
  readonly load: Load
  /** The producer's and the asker's own connection to the broker. */
  readonly tool: Broker
  readonly queues: { readonly commands: string; readonly replies: string; readonly dead: string }
  readonly env: Environment
  readonly folder: string
  readonly random: () => number
  repliesTo(key: string): readonly SeenReply[]
  /** How often each key was written in the portals, in the order of their first time. */
  writes(): Map<string, number>
  /** Notes what was done to the system, for the account. */
  injected(fault: string, times?: number): void
  /** Notes a figure of the run, for the account. */
  measured(what: string, figure: string): void
  /** Waits until every command that was accepted has a reply. */
  answered(withinMs?: number): Promise<void>
  /** Waits for all replies, compares the logs, notes the account, and fails where something is not as promised. */
  account(allowed?: Partial<Allowances>): Promise<Account>
}

/** Opens one; it goes with the test that asked for it. */
export async function openRig(options: RigOptions): Promise<Rig> {
  const { name, store = 'postgres', portals: portalCount = 0, limit, heartbeat = 2 } = options
  const startedAt = performance.now()
  const folder = mkdtempSync(join(tmpdir(), 'b24-rig-'))
  const sandbox = await createSandbox({
    ...(portalCount > 0 ? { host: '0.0.0.0' } : {}),
    limits: limit ?? 'off',
    deals: DEALS,
    ...options.sandbox,
  })
  const node = rabbitNode()
  const cluster = postgresCluster()
  const brokerWay = await WildProxy.before(`${node.url}?heartbeat=${heartbeat}`, 5672)
  const direct = store === 'postgres' ? await cluster.database() : `sqlite:${join(folder, 'bridge.db')}`
  const storeWay = store === 'postgres' ? await WildProxy.before(direct, 5432) : undefined
  const portalWay = await WildProxy.before(sandbox.webhookUrl, 80)
  const suffix = randomUUID().slice(0, 8)
  const queues = {
    commands: `faults.commands.${suffix}`,
    replies: `faults.replies.${suffix}`,
    dead: `faults.dead.${suffix}`,
  }
  const env: Environment = {
    BRIDGE_BROKER: brokerWay.url,
    BRIDGE_STORE: storeWay?.url ?? direct,
    BRIDGE_SECRET_KEY: SECRET_KEY,
    BRIDGE_PORTAL: portalWay.url,
    BRIDGE_HTTP: '127.0.0.1:0',
    BRIDGE_COMMAND_QUEUE: queues.commands,
    BRIDGE_REPLY_QUEUE: queues.replies,
    BRIDGE_DEAD_QUEUE: queues.dead,
    BRIDGE_LIMITS: limit === undefined ? 'off' : `${limit.capacity}/${limit.drainPerSecond}`,
    BRIDGE_LOG_FORMAT: 'json',
    BRIDGE_REQUEST_TIMEOUT: '5',
    // Longer than any request.
    BRIDGE_QUIET_PERIOD: '8',
    BRIDGE_DRAIN_TIMEOUT: '15',
    ...(options.classic === true ? { BRIDGE_TOPOLOGY: 'passive', BRIDGE_EVENTS: 'false' } : {}),
    ...options.env,
  }
  const port = new URL(sandbox.url).port
  const portals = Array.from(
    { length: portalCount },
    (_, at) => `127.0.${Math.floor((at + 2) / 250)}.${((at + 2) % 250) + 1}:${port}`,
  )
  if (portals.length > 0) await rememberPortals(direct, portals)

  const tool = openAmqpBroker({ url: node.url, name: 'b24-faults', random: Math.random, now: Date.now })
  const spec = (queue: string) => {
    const isClassic = options.classic === true && queue === queues.commands
    return { name: queue, durable: true, type: isClassic ? ('plain' as const) : ('quorum' as const) }
  }
  await tool.declare({
    mode: 'declare',
    exchanges: [],
    queues: Object.values(queues).map(spec),
    bindings: [],
  })
  const replies = await readReplies(tool, queues.replies)
  const random = createRandom(name)
  const load = new Load({
    broker: tool,
    queue: options.ordered === true ? `${queues.commands}.ordered` : queues.commands,
    ...(options.ordered === true ? { orderKey: 'one' } : {}),
    random,
    name: `${name} ${SEED}`,
    deals: DEALS,
    ...(portals.length > 0 ? { portals } : {}),
    ...(options.mix === undefined ? {} : { mix: options.mix }),
  })
  const fleet = new Fleet({ env, cwd: folder })
  const faults = new Map<string, number>()
  onTestFinished(async () => {
    await fleet.kill()
    await load.stop()
    await tool.close()
    await sandbox.close()
    for (const { proxy } of [brokerWay, portalWay]) await proxy[Symbol.asyncDispose]()
    await storeWay?.proxy[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  const stats = () => [undefined, ...portals].map((portal) => sandbox.stats(portal, true))
  const rig: Rig = {
    sandbox,
    portals,
    node,
    cluster,
    brokerWay: brokerWay.proxy,
    storeWay: storeWay?.proxy,
    portalWay: portalWay.proxy,
    fleet,
    load,
    tool,
    queues,
    env,
    folder,
    random,
    repliesTo: (key) => replies.get(key) ?? [],
    writes() {
      const writes = new Map<string, number>()
      for (const { log = [] } of stats())
        for (const { title } of log) writes.set(String(title), (writes.get(String(title)) ?? 0) + 1)
      return writes
    },
    injected(fault, times = 1) {
      faults.set(fault, (faults.get(fault) ?? 0) + times)
    },
    measured(what, figure) {
      faults.set(`${what}: ${figure}`, 1)
    },
    async answered(withinMs = 120_000) {
      const open = (): string[] =>
        [...load.sent.values()]
          .filter(({ accepted, key }) => accepted && !replies.has(key))
          .map(({ key }) => key)
      await eventually(() => {
        const left = open()
        expect(left.slice(0, 20), `without a reply: ${left.length}\n${tail(fleet)}`).toEqual([])
      }, withinMs)
    },
    async account(allowed = {}) {
      const all = { twice: false, overLimit: false, ...allowed }
      await rig.answered()
      const seen: Seen = {
        sent: [...load.sent.values()],
        replies,
        writes: rig.writes(),
        requests: stats().reduce((sum, { requests }) => sum + requests, 0),
        overLimit: stats().reduce((sum, { refused }) => sum + (refused.QUERY_LIMIT_EXCEEDED ?? 0), 0),
      }
      const { account, breaches } = audit(seen, all)
      note({ name, faults, seconds: (performance.now() - startedAt) / 1000, account })
      expect(breaches).toEqual(NO_BREACHES)
      fleet.checkAlive()
      const output = fleet.output()
      for (const secret of SECRETS) expect(output.includes(secret), `${secret} got out`).toBe(false)
      return account
    },
  }
  for (let more = 0; more < (options.bridges ?? 1); more++) await fleet.add()
  return rig
}

/** Every reply as it comes. What the broker hands to us twice, because it did not hear of us, counts once. */
async function readReplies(tool: Broker, queue: string): Promise<Map<string, SeenReply[]>> {
  const replies = new Map<string, SeenReply[]>()
  await tool.consume(queue, { prefetch: 500 }, (delivery) => {
    const { message, redelivered } = delivery
    const key = message.correlationId ?? ''
    const known = replies.get(key) ?? []
    const again = redelivered && known.some(({ replyId }) => replyId === message.messageId)
    if (!again) {
      const { outcome, error } = JSON.parse(message.body.toString()) as {
        outcome: string
        error?: { code: string }
      }
      const reply = { outcome, code: error?.code, replyId: message.messageId, at: performance.now() }
      replies.set(key, [...known, reply])
    }
    delivery.ack()
  })
  return replies
}

async function rememberPortals(address: string, domains: readonly string[]): Promise<void> {
  const store = await openStore(address, { now: Date.now, exclusive: false })
  const secrets = await unlockStore(store, { address, given: SECRET_KEY, production: true, now: Date.now })
  for (const domain of domains)
    await saveWebhook(store.db, secrets, { url: `http://${domain}/rest/1/s3cr3t/`, name: domain }, Date.now())
  await store.close()
}

/** One line of the run's table; see scripts/faults.mjs. */
export function note(line: {
  readonly name: string
  readonly faults: ReadonlyMap<string, number>
  readonly seconds: number
  readonly account: Partial<Account>
}): void {
  const file = process.env[VARIABLES.account]
  const faults = [...line.faults].map(([fault, times]) => (times > 1 ? `${times} × ${fault}` : fault))
  if (file) appendFileSync(file, `${JSON.stringify({ ...line, faults })}\n`)
}

function tail(fleet: Fleet): string {
  return fleet.members.map(({ output }) => output.slice(-1500)).join('\n--\n')
}
