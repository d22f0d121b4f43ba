import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { Portals } from '../bridge/portals.ts'
import { createStoredPortals } from '../bridge/stored-portals.ts'
import type { Broker } from '../brokers/broker.ts'
import { openBroker } from '../brokers/open.ts'
import { tracedBroker } from '../brokers/traced.ts'
import { parametersCredential } from '../client/parameters.ts'
import { createTransport, type Transport } from '../client/transport.ts'
import type { Config } from '../config/config.ts'
import { createMetrics, type Metrics } from '../http/metrics.ts'
import type { Logger } from '../log.ts'
import { portalQueries, tokenQueries } from '../stores/bound.ts'
import { bucketLevels } from '../stores/bucket-levels.ts'
import { openStore } from '../stores/open.ts'
import type { Secrets } from '../stores/secrets.ts'
import { openSharedBuckets } from '../stores/shared-buckets.ts'
import { openSharedClock } from '../stores/shared-clock.ts'
import { openSharedRests } from '../stores/shared-rests.ts'
import type { Store } from '../stores/store.ts'
import { folderBeside, unlockStore } from '../stores/unlock.ts'
import { type StartStopwatch, stopwatchBy } from '../util/stopwatch.ts'

/** What every part of the service stands on. */
export interface Foundation {
  readonly config: Config
  readonly logger: Logger
  /** One line for each thing that happened; bad news as warnings. */
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
  readonly metrics: Metrics
  readonly store: Store
  readonly secrets: Secrets
  readonly broker: Broker
  readonly portals: Portals
  readonly transport: Transport
  /** This process, different for each: the owner of leases. */
  readonly owner: string
  readonly now: () => number
  /** The time that all processes on the store agree on: milliseconds since 1970. */
  readonly sharedNow: () => number
  readonly startStopwatch: StartStopwatch
  readonly random: () => number
  readonly newId: () => string
  /** What is to be closed at the end, last first. */
  readonly closing: (() => Promise<unknown>)[]
  /** What the work gives, unless the service is stopped before: then it rejects. */
  unlessStopped<T>(work: Promise<T>): Promise<T>
}

/** Before there is a way to the portals. */
export type Opened = Omit<Foundation, 'portals' | 'transport'>

/** What a service is told besides its settings. */
export interface ServiceOptions {
  readonly logger: Logger
  /** Ends a start that waits for a broker; without effect once the service runs. */
  readonly signal?: AbortSignal
  /** Told when the service cannot go on (its store was taken over): stop the process. */
  readonly onFatal?: (reason: string) => void
}

const steady = (): number => performance.now()

const BAD_NEWS =
  /^(?:install\.refused|portal\.(?:suspended|unsaved)|publisher\.set_apart|bucket\.alone|event\.(?:lost|refused|set-aside|spool|spool-full)|offline\.(?:failed|lost|refused|stale|trouble|unreadable)|scan\.(?:failed|refused)|subscriptions\.failed|token\.(?:dead|idle|spool))$/

/** Opens store and broker. What was opened stands in `closing`, also when the rest fails. */
export async function openFoundation(
  config: Config,
  { logger, onFatal, signal }: ServiceOptions,
  closing: Foundation['closing'],
): Promise<Opened> {
  const log = (event: string, fields: Readonly<Record<string, unknown>>): void =>
    logger[BAD_NEWS.test(event) ? 'warn' : 'info'](fields, event)
  const metrics = createMetrics()
  const instance = `${hostname()}-${process.pid}`
  const store = await openStore(config.store, {
    now: Date.now,
    onLost: () => onFatal?.('another process has taken the store over'),
  })
  closing.push(() => store.close())
  const clock = await openSharedClock(store, { wall: Date.now, steady })
  closing.push(async () => clock.close())
  const secrets: Secrets = await unlockStore(store, {
    address: config.store,
    given: config.secretKey,
    production: config.production,
    now: Date.now,
  })
  const opened = await openBroker(config.broker.kind === 'embedded' ? 'embedded' : config.broker.url, {
    amqp: {
      name: `b24-bridge/${instance}`,
      random: Math.random,
      now: steady,
      logger: log,
      ...(config.tlsCa === undefined ? {} : { tls: { caFile: config.tlsCa.file } }),
    },
    // On a database server other bridges may hold leases: they end by time, by a clock that all of them share.
    embedded: () => ({ db: store.db, now: clock.now, takeOver: !store.features.shared, logger: log }),
  })
  const broker = tracedBroker(opened)
  closing.push(() => broker.close())
  return {
    config,
    logger,
    log,
    metrics,
    store,
    secrets,
    broker,
    owner: `${instance}-${randomUUID()}`,
    now: Date.now,
    sharedNow: clock.now,
    startStopwatch: stopwatchBy(Date.now, steady),
    random: Math.random,
    newId: randomUUID,
    closing,
    unlessStopped: (work) => (signal === undefined ? work : orAbort(work, signal)),
  }
}

/** The way to the portals: connections, lanes, and tokens that renew themselves. */
export async function openPortals(base: Opened): Promise<Foundation> {
  const { config, logger, log, metrics, store, secrets, closing } = base
  const authority = certificates(config)
  const transport = createTransport({
    timeoutMs: config.requestTimeoutMs,
    connections: config.maxInFlight,
    ...authority,
  })
  const shared = store.features.shared
    ? await openSharedBuckets({ store, owner: base.owner, now: base.now, log })
    : undefined
  const rests = store.features.shared ? await openSharedRests(store) : undefined
  closing.push(
    async () => shared?.close(),
    async () => rests?.close(),
  )
  const { portals, keeper } = createStoredPortals({
    defaultPortal: config.portal,
    ...(config.isolated === undefined ? {} : { defaultCredential: parametersCredential(config.isolated) }),
    portalStore: portalQueries(store, secrets),
    tokenStore: tokenQueries(store, secrets),
    secrets,
    spoolFolder: folderBeside(config.store, 'spool'),
    oauthServers: config.oauthServers,
    ...authority,
    owner: base.owner,
    now: base.now,
    ...(shared === undefined ? {} : { shared }),
    ...(rests === undefined ? {} : { rests }),
    levels: await bucketLevels(store, base.now, (error) => logger.warn({ err: error }, 'bucket.unsaved')),
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
      quietMs: config.quietMs,
    },
  })
  closing.push(
    () => transport.close(),
    () => keeper.close(),
    () => portals.close(1000),
  )
  rests?.follow(() => portals.list())
  await keeper.start()
  return { ...base, portals, transport }
}

/** Certificates of the operator's own authority, where there are any. */
export function certificates({ tlsCa }: Pick<Config, 'tlsCa'>): { readonly ca?: string } {
  return tlsCa === undefined ? {} : { ca: tlsCa.pem }
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
