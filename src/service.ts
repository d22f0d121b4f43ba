import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { type CommandConsumer, consumeCommands } from './bridge/commands/consume.ts'
import { createLedger } from './bridge/commands/ledger.ts'
import { createNativeContract } from './bridge/contracts/native.ts'
import { type ChosenContract, chooseContract } from './bridge/contracts/select.ts'
import { createDoor } from './bridge/door.ts'
import { createInstalls } from './bridge/installs/installs.ts'
import { createStoredPortals } from './bridge/stored-portals.ts'
import type { Broker } from './brokers/broker.ts'
import { openBroker } from './brokers/open.ts'
import type { LaneStats } from './client/lane/core.ts'
import { parametersCredential } from './client/parameters.ts'
import { createTransport } from './client/transport.ts'
import type { Config } from './config/config.ts'
import { createMetrics } from './http/metrics.ts'
import { readiness } from './http/readiness.ts'
import { createHttpServer } from './http/server.ts'
import type { Logger } from './log.ts'
import { maskSecrets, maskWebhook } from './model/webhook.ts'
import { ledgerQueries, portalQueries, tokenQueries } from './stores/bound.ts'
import { bucketLevels } from './stores/bucket-levels.ts'
import { installRecords } from './stores/installs.ts'
import { openStore } from './stores/open.ts'
import { pruneLedger } from './stores/queries/ledger.ts'
import { listPortals } from './stores/queries/portals.ts'
import type { Secrets } from './stores/secrets.ts'
import type { Store } from './stores/store.ts'
import { folderBeside, unlockStore } from './stores/unlock.ts'

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
   * and is answered, connections close. True when everything ended within the settings' drain time. Twice is harmless.
   */
  stop(): Promise<boolean>
}

/** What a service is told besides its settings. */
export interface ServiceOptions {
  readonly logger: Logger
  /** Ends a start that waits for a broker; without effect once the service runs. */
  readonly signal?: AbortSignal
  /** Told when the service cannot go on (its store was taken over): stop the process. */
  readonly onFatal?: (reason: string) => void
}

const BAD_NEWS = /^(?:install\.refused|portal\.(?:suspended|unsaved)|token\.(?:dead|idle|spool))$/
const CONNECT_ONE =
  'No portal is known. Set BRIDGE_PORTAL to a webhook, or connect one: `b24-bridge portals add`, /oauth/start.'
const PRUNE_MS = 10 * 60_000
const RECHECK_MS = 2000
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
  const closing: (() => Promise<unknown>)[] = []
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
  { logger, onFatal, signal }: ServiceOptions,
  closing: (() => Promise<unknown>)[],
): Promise<Service> {
  const log = (event: string, fields: Readonly<Record<string, unknown>>): void =>
    logger[BAD_NEWS.test(event) ? 'warn' : 'info'](fields, event)
  const unlessStopped = <T>(work: Promise<T>): Promise<T> =>
    signal === undefined ? work : orAbort(work, signal)
  const metrics = createMetrics()
  const instance = `${hostname()}-${process.pid}`
  let draining = false

  const store = await openStore(config.store, {
    now: Date.now,
    onLost: () => onFatal?.('another process has taken the store over'),
  })
  closing.push(() => store.close())
  const secrets: Secrets = await unlockStore(store, {
    address: config.store,
    given: config.secretKey,
    production: config.production,
    now: Date.now,
  })
  const broker = await openBroker(config.broker.kind === 'embedded' ? 'embedded' : config.broker.url, {
    amqp: {
      name: `b24-bridge/${instance}`,
      random: Math.random,
      now: Date.now,
      logger: log,
      ...(config.tlsCa === undefined ? {} : { tls: { caFile: config.tlsCa.file } }),
    },
    // On a database server other bridges may hold leases: they end by time.
    embedded: () => ({ db: store.db, now: Date.now, takeOver: !store.features.shared, logger: log }),
  })
  closing.push(() => broker.close())
  let consumer: CommandConsumer | undefined
  // What the closed connections to the portal cut off has an answer now: that it is unknown. It must get out.
  closing.push(async () => void (await consumer?.drain(LAST_WORDS_MS)))
  const chosen = chooseContract({ ...config.contract, topology: config.topology }, config.maxBodyBytes)
  logger.info(summary(config, chosen, store, secrets.active), 'service.starting')

  const authority = config.tlsCa === undefined ? {} : { ca: config.tlsCa.pem }
  const transport = createTransport({
    timeoutMs: config.requestTimeoutMs,
    connections: config.maxInFlight,
    ...authority,
  })
  const { oauthServers: servers } = config
  const { portals, keeper } = createStoredPortals({
    defaultPortal: config.portal,
    ...(config.isolated === undefined ? {} : { defaultCredential: parametersCredential(config.isolated) }),
    portalStore: portalQueries(store, secrets),
    tokenStore: tokenQueries(store, secrets),
    secrets,
    spoolFolder: folderBeside(config.store, 'spool'),
    oauthServers: servers,
    ...authority,
    owner: `${instance}-${randomUUID()}`,
    now: Date.now,
    levels: await bucketLevels(store, Date.now, (error) => logger.warn({ err: error }, 'bucket.unsaved')),
    onRequest: (domain, report) => metrics.request(domain, report),
    onRefresh: (outcome) => metrics.tokens(outcome),
    onRenamed: (origin) =>
      logger.warn({ origin, hint: 'Set the new address in BRIDGE_PORTAL.' }, 'portal.renamed'),
    log,
    lane: {
      transport,
      limit: config.limit,
      maxInFlight: config.maxInFlight,
      operatingLimitSeconds: config.operatingLimitSeconds,
      portalWaitMs: config.portalWaitMs,
    },
  })
  closing.push(
    () => transport.close(),
    () => keeper.close(),
    () => portals.close(1000),
  )
  await keeper.start()

  const remembering = ledgerQueries(store)
  const ledger = createLedger(remembering.store, Date.now)
  const shared = { broker, portals, ledger, now: Date.now, newId: randomUUID }
  const lanes = (): { domain: string; stats: LaneStats }[] =>
    portals.list().map(({ domain, lane }) => ({ domain, stats: lane.stats() }))
  metrics.gauges(() => ({ lanes: lanes(), broker: broker.state(), inHand: consumer?.inHand ?? 0 }))

  const records = installRecords(store.db, secrets)
  const installs = createInstalls({ ...shared, ...authority, store: records, servers, transport, log })
  const http = createHttpServer({
    host: config.http.host,
    port: config.http.port,
    allowedHosts: config.http.allowedHosts,
    corsHosts: config.http.corsHosts,
    maxBodyBytes: config.maxBodyBytes,
    ...(config.adminToken === undefined ? {} : { adminToken: config.adminToken }),
    commands: createDoor({
      ...shared,
      contract: createNativeContract({ maxBodyBytes: config.maxBodyBytes }),
      commandQueue: chosen.contract.name === 'native' ? chosen.commandQueue : undefined,
    }),
    installs,
    health: () =>
      readiness({ broker, draining, serving: consumer !== undefined, storeTrouble: remembering.trouble() }),
    metrics,
    log: (event, fields) => logger.warn(fields, event),
  })
  closing.push(() => http.close())
  // Probes are answered before the broker is: a bridge that waits for it is alive, and not ready.
  const { url } = await http.listen()
  logger.info({ url }, 'service.listening')
  await unlessStopped(chosen.prepare(broker))
  const served = await unlessStopped(
    consumeCommands({
      ...shared,
      queue: chosen.commandQueue,
      prefetch: config.prefetch,
      contract: chosen.contract,
      replyAddress: chosen.replyAddress,
      deadQueue: chosen.deadQueue,
      strictOrder: chosen.strictOrder,
      run: { countLists: chosen.countLists, maxListBytes: config.maxBodyBytes },
      maxReplyBytes: config.maxBodyBytes,
      onSettled(report) {
        metrics.settled(report)
        logger.info(report, 'command.settled')
      },
      log(event, fields) {
        if (event === 'dead.kept') metrics.deadLetter(String(fields.reason))
        logger.warn(fields, event)
      },
    }),
  )
  consumer = served
  logger.info({ url, queue: chosen.commandQueue }, 'service.ready')
  if ((config.portal ?? config.isolated) === undefined && chosen.contract.name !== 'rabbitmq-to-bitrix24') {
    const [any] = await listPortals(store.db, { limit: 1 })
    if (any === undefined && config.firstTokens !== undefined) {
      await installs
        .takeFirst(config.firstTokens)
        .catch((error) => logger.error({ err: error, hint: CONNECT_ONE }, 'portal.refused'))
    } else if (any === undefined) logger.warn({ hint: CONNECT_ONE }, 'portal.missing')
  }

  const timers = [
    setInterval(
      () => void pruneLedger(store.db, Date.now() - config.ledgerRetentionMs).catch(() => 0),
      PRUNE_MS,
    ),
    setInterval(recheckAfterReconnect(broker, chosen, logger), RECHECK_MS),
  ]
  closing.push(async () => timers.forEach(clearInterval))

  let stopping: Promise<boolean> | undefined
  async function stop(): Promise<boolean> {
    draining = true
    logger.info({ inHand: served.inHand }, 'service.draining')
    const drained = await served.drain(config.drainTimeoutMs)
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

/** What `work` gives, unless the signal aborts first: then its reason is thrown. */
function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

/** After a reconnection the contract looks again at what exists; an operator may have changed it. */
function recheckAfterReconnect(broker: Broker, chosen: ChosenContract, logger: Logger): () => void {
  let seen = broker.state().reconnects
  return () => {
    const { reconnects, connected } = broker.state()
    if (!connected || reconnects === seen) return
    seen = reconnects
    chosen.prepare(broker).catch((error) => logger.error({ err: error }, 'topology.failed'))
  }
}
