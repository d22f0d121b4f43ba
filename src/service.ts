import { setTimeout as sleep } from 'node:timers/promises'
import type { CommandConsumer } from './bridge/commands/consume.ts'
import { createLedger } from './bridge/commands/ledger.ts'
import { createNativeContract } from './bridge/contracts/native.ts'
import { type ChosenContract, chooseContract } from './bridge/contracts/select.ts'
import { createDoor } from './bridge/door.ts'
import { createInstalls, type Installs } from './bridge/installs/installs.ts'
import type { LaneStats } from './client/lane/core.ts'
import type { Config } from './config/config.ts'
import { readiness } from './http/readiness.ts'
import { createHttpServer } from './http/server.ts'
import { maskSecrets, maskWebhook } from './model/webhook.ts'
import { isCommandQueue } from './service/aside.ts'
import { serveCommands } from './service/commands.ts'
import { underConnector } from './service/connector.ts'
import { createDeadLetterPart } from './service/dead-letters.ts'
import { createEvents, type Events } from './service/events.ts'
import {
  certificates,
  type Foundation,
  openFoundation,
  openPortals,
  type ServiceOptions,
} from './service/foundation.ts'
import { createErrorPart } from './service/offline.ts'
import { createOutboxPart, type OutboxStats } from './service/outbox.ts'
import { createPlacements } from './service/pages.ts'
import { createSubscriptions, readSubscriptions } from './service/subscriptions.ts'
import { ledgerQueries } from './stores/bound.ts'
import { installRecords } from './stores/installs.ts'
import { listPortals } from './stores/queries/portals.ts'
import type { Store } from './stores/store.ts'
import { Turns } from './util/turns.ts'

export type { ServiceOptions } from './service/foundation.ts'

/** A running bridge. */
export interface Service {
  /** Where the HTTP side listens: `http://127.0.0.1:8000`. */
  readonly url: string
  /** Numbers of every lane that has been used. */
  lanes(): readonly { readonly domain: string; readonly stats: LaneStats }[]
  /** Commands between delivery and confirmed reply. */
  inHand(): number
  /**
   * Stops in order: readiness drops, no new deliveries, unsent commands go back to the queue, what is under way ends
   * and is answered, connections close. Events are taken until the last, and at least for the settings' grace. True
   * when everything ended within the settings' drain time. Twice is harmless.
   */
  stop(): Promise<boolean>
}

const CONNECT_ONE =
  'No portal is known. Set BRIDGE_PORTAL to a webhook, or connect one: `b24-bridge portals add`, /oauth/start.'
/** For the replies to commands that did not end within the drain time. */
const LAST_WORDS_MS = 3000

/**
 * Builds the parts and ties them together. Resolves when commands are being taken.
 *
 * Rejects with a `ConfigError`, `StoreError` or `BrokerError` when a part cannot be opened; everything opened before
 * is closed again. A broker that is away is waited for, and the log says so.
 */
export async function startService(config: Config, options: ServiceOptions): Promise<Service> {
  const { logger } = options
  const closing: Foundation['closing'] = []
  try {
    return await start(config, options, closing)
  } catch (error) {
    for (const close of closing.reverse())
      await close().catch((failed) => logger.warn({ err: failed }, 'close.failed'))
    throw error
  }
}

async function start(
  config: Config,
  options: ServiceOptions,
  closing: Foundation['closing'],
): Promise<Service> {
  const { logger } = options
  let draining = false
  let consumer: CommandConsumer | undefined

  const document = await readSubscriptions(config)
  const opened = await openFoundation(config, options, closing)
  const { store, broker, metrics } = opened
  // What the closed connections to the portal cut off has an answer now: that it is unknown. It must get out.
  closing.push(async () => void (await consumer?.drain(LAST_WORDS_MS)))
  const chosen = chooseContract({ ...config.contract, topology: config.topology }, config.maxBodyBytes)
  logger.info(summary(config, chosen, store, opened.secrets.active), 'service.starting')

  const base = await openPortals(opened)
  const speaking = underConnector(base)
  const dead = createDeadLetterPart(base)
  const remembering = ledgerQueries(store)
  const ledger = createLedger(remembering.store, {
    now: base.sharedNow,
    quietMs: config.quietMs,
    shared: store.features.shared,
    startStopwatch: base.startStopwatch,
  })
  const turns = new Turns()
  const outbox = createOutboxPart(speaking, ledger)
  const lanes = (): { domain: string; stats: LaneStats }[] =>
    base.portals.list().map(({ domain, lane }) => ({ domain, stats: lane.stats() }))
  metrics.gauges(() => ({
    lanes: lanes(),
    broker: broker.state(),
    inHand: consumer?.inHand ?? 0,
    oldestMs: consumer?.oldestAt === undefined ? 0 : base.now() - consumer.oldestAt,
    deadLetters: dead.open(),
    spool: events.spool(),
    offline: events.offline.stats(),
    bots: events.bots.stats(),
    push: events.push.states(),
    ...outboxReading(outbox.stats()),
  }))

  const subscriptions = createSubscriptions(base, document, (memberId, clientId) =>
    events.offline.handlersChanged(memberId, clientId),
  )
  const installs = openInstalls(base, (memberId) => {
    events.forget(memberId)
    subscriptions.changed(memberId)
  })
  const events: Events = createEvents(base, installs)
  const http = createHttpServer({
    host: config.http.host,
    port: config.http.port,
    allowedHosts: config.http.allowedHosts,
    corsHosts: config.http.corsHosts,
    maxBodyBytes: config.maxBodyBytes,
    ...(config.adminToken === undefined ? {} : { adminToken: config.adminToken }),
    commands: createDoor({
      ...speaking,
      quietMs: config.quietMs,
      ledger,
      turns,
      contract: createNativeContract({ maxBodyBytes: config.maxBodyBytes }),
      commandQueue: chosen.contract.name === 'native' ? chosen.commandQueue : undefined,
    }),
    installs,
    placements: createPlacements(base, installs),
    ...(config.events.enabled ? { events: { ...config.events, intake: events.intake } } : {}),
    deadLetters: dead.letters ?? 'queue',
    offlineErrors: createErrorPart(base, events.offline),
    health: () =>
      readiness({ broker, draining, serving: consumer !== undefined, storeTrouble: remembering.trouble() }),
    metrics,
    log: (event, fields) => logger.warn(fields, event),
  })
  closing.push(() => http.close())
  // Probes are answered before the broker is: a bridge that waits for it is alive, and not ready.
  const { url } = await http.listen()
  logger.info({ url }, 'service.listening')
  if (config.events.enabled) await events.start()
  const served = await serveCommands(speaking, chosen, { ledger, turns })
  consumer = served
  dead.start(chosen.deadQueue, {
    queue: chosen.commandQueue,
    isCommandQueue: (queue) => isCommandQueue(chosen.commandQueue, queue),
    answerExpired: (delivery) => served.answerExpired(delivery),
  })
  await outbox.start()
  logger.info({ url, queue: chosen.commandQueue }, 'service.ready')
  subscriptions.start()
  if (chosen.contract.name !== 'rabbitmq-to-bitrix24') await welcomeFirstPortal(base, installs)

  let stopping: Promise<boolean> | undefined
  async function stop(): Promise<boolean> {
    draining = true
    logger.info({ inHand: served.inHand }, 'service.draining')
    const grace = sleep(config.drainGraceMs)
    const ended = await Promise.all([served, outbox].map((part) => part.drain(config.drainTimeoutMs)))
    const drained = ended.every(Boolean)
    await grace
    for (const close of closing.reverse())
      await close().catch((error) => logger.warn({ err: error }, 'close.failed'))
    logger.info({ drained, inHand: served.inHand }, 'service.stopped')
    return drained
  }
  return {
    url,
    lanes,
    inHand: () => served.inHand,
    stop() {
      stopping ??= stop()
      return stopping
    },
  }
}

function outboxReading(outbox: OutboxStats | undefined): { readonly outbox?: OutboxStats } {
  return outbox === undefined ? {} : { outbox }
}

function openInstalls(base: Foundation, onChange: (memberId: string) => void): Installs {
  const { config, store, secrets } = base
  return createInstalls({
    ...base,
    ...certificates(config),
    store: installRecords(store.db, secrets),
    servers: config.oauthServers,
    onChange,
  })
}

/** A store that knows no portal yet takes the one of the settings, or the log says how to connect one. */
async function welcomeFirstPortal(
  { config, store, logger }: Foundation,
  installs: Pick<Installs, 'takeFirst'>,
): Promise<void> {
  if ((config.portal ?? config.isolated) !== undefined) return
  const [any] = await listPortals(store.db, { limit: 1 })
  if (any !== undefined) return
  if (config.firstTokens === undefined) {
    logger.warn({ hint: CONNECT_ONE }, 'portal.missing')
    return
  }
  await installs
    .takeFirst(config.firstTokens)
    .catch((error) => logger.error({ err: error, hint: CONNECT_ONE }, 'portal.refused'))
}

/** What an operator wants to see first; secrets are masked. */
function summary(
  config: Config,
  chosen: ChosenContract,
  store: Store,
  secretKey: string,
): Record<string, unknown> {
  return {
    contract: chosen.contract.name,
    broker: config.broker.kind === 'embedded' ? 'embedded' : maskSecrets(config.broker.url),
    store: store.label,
    portal: config.portal === undefined ? 'by message' : maskWebhook(config.portal),
    limit: config.limit === null ? 'off' : `${config.limit.capacity}/${config.limit.drainPerSecond}`,
    commandQueue: chosen.commandQueue,
    prefetch: config.prefetch,
    adminToken: config.adminToken === undefined ? 'not set' : 'set',
    secretKey,
  }
}
