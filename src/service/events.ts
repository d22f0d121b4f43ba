import type { BotFetchers } from '../bridge/events/bots/fetchers.ts'
import { createEnricher, type Enricher } from '../bridge/events/enrich.ts'
import { createHarvest } from '../bridge/events/harvest.ts'
import { createEventIntake, type EventIntake, type EventIntakeOptions } from '../bridge/events/intake.ts'
import type { OfflinePumps } from '../bridge/events/offline/pumps.ts'
import { createEventOutlet, type EventOutlet, eventTopology } from '../bridge/events/outlet.ts'
import { createPreparedOutlet } from '../bridge/events/prepared.ts'
import type { PushSupervisor } from '../bridge/events/push/supervisor.ts'
import { createSetAside } from '../bridge/events/set-aside.ts'
import { createSources } from '../bridge/events/sources.ts'
import { createDurableOutlet } from '../bridge/events/spool.ts'
import { boundSpool } from '../bridge/events/spool-bound.ts'
import { createSummary } from '../bridge/events/summary.ts'
import { createEventVerifier } from '../bridge/events/verify.ts'
import type { Installs } from '../bridge/installs/installs.ts'
import { createRefusalLog } from '../bridge/installs/refusals.ts'
import { fetchSenderAddresses } from '../client/sender-addresses.ts'
import { deadLetterQueries } from '../stores/bound.ts'
import { eventRecords } from '../stores/events.ts'
import { createBotPart } from './bots.ts'
import { certificates, type Foundation } from './foundation.ts'
import { createOfflinePart } from './offline.ts'
import { keepingEvents } from './outbox.ts'
import { createPushPart } from './push.ts'
import { createScanPart } from './scans.ts'
import { tracedIntake } from './traced-intake.ts'

/** The reverse road, as the other parts of the service see it. */
export interface Events {
  readonly outlet: EventOutlet
  /** Takes what portals post, from the beginning; before `start` it goes to the store. */
  readonly intake: EventIntake
  /** What is stored of a portal has changed. */
  readonly forget: (memberId: string) => void
  /** Fetches what portals keep; idle where the settings say no. */
  readonly offline: OfflinePumps
  /** Fetches the events of bots that have no address. */
  readonly bots: Pick<BotFetchers, 'stats'>
  /** Listens to push servers; idle where the settings say no. */
  readonly push: PushSupervisor
  /** Events that wait in the store for the broker. */
  readonly spool: () => { readonly count: number; readonly ageMs: number }
  /** Makes the exchange and begins to fetch, to listen and to drain. Waits for a broker that is away. */
  start(): Promise<void>
}

/** What others want to know of events as they come; see `EventIntakeOptions`. */
export type EventHooks = Pick<EventIntakeOptions, 'onOfflineNudge' | 'onLost'>

/** Puts the parts together that bring what happens in portals onto a queue. Does no I/O before `start`. */
export function createEvents(
  base: Foundation,
  installs: Pick<Installs, 'takeEvent'>,
  hooks: EventHooks = {},
): Events {
  const { broker, config, metrics, store, secrets, logger, log, owner, now, newId, unlessStopped, closing } =
    base
  const { exchange, withRaw, budgetMs, spoolMax } = config.events
  const outlet = keepingEvents(
    base,
    createEventOutlet({ broker, exchange, onPublished: metrics.eventPublished }),
  )
  const records = eventRecords(store.db, secrets, now)
  const verifier = createEventVerifier(records.cards, now)
  const prepare = openRecords(base)
  const setAside = createSetAside({
    letters: config.deadLetters.where === 'store' ? deadLetterQueries(store, secrets) : undefined,
    exchange,
    now: base.sharedNow,
    onLost: ({ memberId }) => lost(memberId),
    log,
  })
  const keeping = {
    outlet,
    brokerState: () => broker.state(),
    store: boundSpool(records.spool, { most: spoolMax, now, log }),
    owner,
    now,
    setAside,
    log,
  }
  const durable =
    prepare === undefined
      ? createDurableOutlet({ ...keeping, budgetMs })
      : createPreparedOutlet({ ...keeping, prepare })
  closing.push(() => durable.close())
  const scans = createScanPart(base, durable)
  const offline = createOfflinePart(base, outlet, { prepare, onPublished: scans.note })
  /** What was lost on its way may have been kept by the portal, and can be found by looking. */
  const lost = (memberId: string): void => {
    offline.nudge(memberId, undefined)
    scans.lost(memberId)
    hooks.onLost?.(memberId)
  }
  const push = createPushPart(base, outlet, {
    onOffline: ({ memberId, clientId }) => offline.nudge(memberId, clientId),
    onGap: ({ memberId }) => hooks.onLost?.(memberId),
  })
  const bots = createBotPart(base, outlet, setAside)
  const harvest = createHarvest({ store: records.tokens, now: base.sharedNow, log })
  closing.push(() => harvest.close())
  const mayCome = openSources(base)
  const summary = createSummary(log)
  closing.push(async () => summary.close())
  const intake = createEventIntake({
    ...(mayCome === undefined ? {} : { mayCome }),
    onOfflineNudge: offline.nudge,
    onProven: (from, form) => harvest.take(from, form),
    ...hooks,
    onLost: lost,
    verifier,
    outlet: durable,
    installs,
    now,
    newId,
    withRaw,
    onRefused: createRefusalLog(log, now, 'event.refused'),
    onTaken(result, ms, event) {
      if (event !== undefined) scans.note(event)
      summary.count(result)
      metrics.eventReceived(result, event === undefined ? undefined : ms)
      if (event !== undefined && logger.isLevelEnabled('debug'))
        logger.debug({ result, event: event.event, member: event.memberId, key: event.key }, 'event.taken')
    },
  })
  return {
    outlet,
    intake: tracedIntake(intake),
    offline,
    bots,
    push,
    spool: () => durable.waiting(),
    forget(memberId) {
      verifier.forget(memberId)
      push.look()
      bots.changed(memberId)
    },
    async start() {
      await unlessStopped(broker.declare(eventTopology(exchange, config.topology)))
      await durable.start()
      if (config.events.enabled && config.events.offline.enabled) offline.start()
      if (config.events.push.enabled) push.start()
      if (config.events.enabled) bots.start()
      scans.start()
    },
  }
}

/** Reads the records of events, when the settings ask for it. */
function openRecords({ config, portals, now, metrics }: Foundation): Enricher['enrich'] | undefined {
  const { record: patterns } = config.events
  if (patterns.length === 0) return undefined
  return createEnricher({ portals, patterns, now, onEnriched: metrics.enriched }).enrich
}

/** Looks at where event requests come from, when the settings ask for it. */
function openSources({ config, log, now, closing }: Foundation): ((address: string) => boolean) | undefined {
  const { sources: mode, sourceLists } = config.events
  if (mode === 'off' || !config.events.enabled) return undefined
  const sources = createSources({
    urls: sourceLists,
    read: (url) => fetchSenderAddresses(url, certificates(config)),
    log,
  })
  closing.push(async () => sources.close())
  sources.start()
  const stranger = createRefusalLog(log, now, 'event.stranger')
  return (address) => {
    if (sources.isListed(address)) return true
    stranger(mode, 'SOURCE_NOT_LISTED')
    return mode === 'log'
  }
}
