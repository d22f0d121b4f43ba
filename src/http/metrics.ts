import { collectDefaultMetrics, Registry } from 'prom-client'
import type { SettledReport } from '../bridge/commands/report.ts'
import type { PushFate } from '../bridge/events/push/outflow.ts'
import type { PushStates } from '../bridge/events/push/supervisor.ts'
import type { CallbackResult } from '../bridge/outbox/deliver.ts'
import type { OutboxEnd } from '../bridge/outbox/store.ts'
import type { BrokerState } from '../brokers/broker.ts'
import type { LaneStats } from '../client/lane/core.ts'
import type { RequestReport } from '../client/lane/lane.ts'
import { isReadMethod } from '../model/methods.ts'
import { countFound, type FoundMetrics } from './found-metrics.ts'
import { boundedLabel, children, counter, gauge, histogram, totals } from './metric-series.ts'

/** What is read at the moment of a scrape. */
export interface GaugeReadings {
  readonly lanes: readonly { readonly domain: string; readonly stats: LaneStats }[]
  readonly broker: BrokerState
  /** Commands between delivery and acknowledgement. */
  readonly inHand: number
  /** How long the oldest of them has been here. */
  readonly oldestMs?: number
  /** Dead letters in the store that wait for somebody; 0 when they stay in their queue. */
  readonly deadLetters: number
  /** Events that wait in the store for the broker. */
  readonly spool?: { readonly count: number; readonly ageMs: number }
  /** Offline queues, where they are drained. */
  readonly offline?: { readonly queues: number; readonly troubled: number; readonly unsettled: number }
  /** Applications whose bots are asked for events, where there may be any. */
  readonly bots?: { readonly ready: number; readonly trouble: number }
  /** Connections to push servers by their state, where there may be any. */
  readonly push?: PushStates
  /** Rows of the outbox, where it is on. */
  readonly outbox?: {
    readonly waiting: number
    readonly taken: number
    readonly ageMs: number
    readonly callbacks: number
  }
}

/** The bridge's metrics. Counting one event costs about a microsecond and no I/O. */
export interface Metrics extends FoundMetrics {
  readonly contentType: string
  /** The page for Prometheus. */
  text(): Promise<string>
  /** A command was settled. */
  settled(report: SettledReport): void
  /** A command was moved out of the way of others. */
  moved(to: 'lane' | 'delay' | 'suspect'): void
  /** So many portals have a queue of their own. */
  laneQueues(count: number): void
  /** A request to a portal ended. */
  request(domain: string, report: RequestReport): void
  /** A message was set aside. */
  deadLetter(reason: string): void
  /** A message that was set aside was sent again. */
  deadLetterRetried(): void
  /** Tokens were renewed, or not. */
  tokens(outcome: 'refreshed' | 'failed' | 'suspended'): void
  /** An event request ended; the time only of those that were answered with 200. */
  eventReceived(result: string, ms?: number): void
  /** The broker has an event; `routed` when a queue is bound for it. */
  eventPublished(routed: boolean): void
  /** Events of an offline queue were published; `lagMs` is the age of the oldest. */
  offlineDrained(drained: { readonly events: number; readonly lagMs: number }): void
  /** A message of a push server is where it belongs. */
  pushMessage(fate: PushFate): void
  /** Listening to a push server began, for the first time or again. */
  pushConnected(again: boolean): void
  /** A row of the outbox ended. */
  outboxEnded(state: OutboxEnd['state']): void
  /** A reply was told to whom its row named, or not. */
  outboxCallback(result: CallbackResult): void
  /** The HTTP server answered; `route` is the pattern, never the address as asked for. */
  answered(route: string, status: number): void
  /** Sets where gauges are read from at each scrape; without it they stay at 0. The last one counts. */
  gauges(source: () => GaugeReadings): void
}

/** `processMetrics` adds memory, CPU and event loop of this process (default true). */
export function createMetrics(options: { readonly processMetrics?: boolean } = {}): Metrics {
  const registry = new Registry()
  if (options.processMetrics !== false) collectDefaultMetrics({ register: registry })
  const commands = countCommands(registry)
  const requests = countRequests(registry)
  const moved = children(counter(registry, 'b24_commands_moved_total'), 1)
  for (const to of ['lane', 'delay', 'suspect']) moved(to).inc(0)
  const laneQueues = gauge(registry, 'b24_lane_queues')
  const dead = children(counter(registry, 'b24_dead_letters_total'), 1)
  const retried = counter(registry, 'b24_dead_letter_retries_total')
  const refreshes = children(counter(registry, 'b24_token_refreshes_total'), 1)
  for (const outcome of ['refreshed', 'failed', 'suspended']) refreshes(outcome).inc(0)
  const answers = children(counter(registry, 'b24_api_requests_total'), 2)
  const events = countEvents(registry)
  const drained = counter(registry, 'b24_offline_events_total')
  const oldest = gauge(registry, 'b24_offline_lag_seconds')
  let lagMs = 0
  const reason = boundedLabel()
  const read = readGauges(registry)
  let source: (() => GaugeReadings) | undefined
  return {
    contentType: registry.contentType,
    text() {
      if (source !== undefined) read(source())
      oldest.set(lagMs / 1000)
      lagMs = 0
      return registry.metrics()
    },
    settled: commands,
    request: requests,
    deadLetter: (why) => dead(reason(why)).inc(),
    deadLetterRetried: () => retried.inc(),
    tokens: (outcome) => refreshes(outcome).inc(),
    ...events,
    offlineDrained(report) {
      drained.inc(report.events)
      lagMs = Math.max(lagMs, report.lagMs)
    },
    ...countFound(registry),
    ...countPush(registry),
    ...countOutbox(registry),
    answered: (route, status) => answers(route, String(status)).inc(),
    moved: (to) => moved(to).inc(),
    laneQueues: (count) => laneQueues.set(count),
    gauges(next) {
      source = next
    },
  }
}

function countCommands(registry: Registry): Metrics['settled'] {
  const total = children(counter(registry, 'b24_commands_total'), 2)
  const replayed = counter(registry, 'b24_commands_replayed_total')
  const duration = children(histogram(registry, 'b24_command_duration_seconds'), 1)
  const classOf = commandClasses()
  // Series that exist from the start let alerts see the first increase.
  for (const kind of ['read', 'write', 'list', 'batch'])
    for (const outcome of ['done', 'failed', 'unknown']) total(outcome, kind).inc(0)
  return (report) => {
    const kind = classOf(report)
    total(report.outcome, kind).inc()
    if (report.replayed) replayed.inc()
    if (report.outcome !== 'requeued') duration(kind).observe(report.ms / 1000)
  }
}

function countRequests(registry: Registry): Metrics['request'] {
  const total = children(counter(registry, 'b24_http_requests_total'), 2)
  const duration = histogram(registry, 'b24_http_request_duration_seconds')
  const size = histogram(registry, 'b24_batch_size')
  const code = boundedLabel()
  return (_domain, { calls, ms, status, error }) => {
    total(statusClass(status), error === undefined ? 'none' : code(error)).inc()
    duration.observe(ms / 1000)
    size.observe(calls)
  }
}

function countEvents(registry: Registry): Pick<Metrics, 'eventReceived' | 'eventPublished'> {
  const received = children(counter(registry, 'b24_events_received_total'), 1)
  const published = children(counter(registry, 'b24_events_published_total'), 1)
  const duration = histogram(registry, 'b24_event_ack_seconds')
  for (const result of ['published', 'spooled', 'duplicate', 'nudge', 'refused', 'lost'])
    received(result).inc(0)
  for (const routed of ['yes', 'no']) published(routed).inc(0)
  return {
    eventReceived(result, ms) {
      received(result).inc()
      if (ms !== undefined) duration.observe(ms / 1000)
    },
    eventPublished: (routed) => published(routed ? 'yes' : 'no').inc(),
  }
}

function countPush(registry: Registry): Pick<Metrics, 'pushMessage' | 'pushConnected'> {
  const messages = children(counter(registry, 'b24_push_messages_total'), 1)
  const reconnects = counter(registry, 'b24_push_reconnects_total')
  for (const fate of ['published', 'offline', 'control', 'refused']) messages(fate).inc(0)
  return {
    pushMessage: (fate) => messages(fate).inc(),
    pushConnected(again) {
      if (again) reconnects.inc()
    },
  }
}

function countOutbox(registry: Registry): Pick<Metrics, 'outboxEnded' | 'outboxCallback'> {
  const rows = children(counter(registry, 'b24_outbox_rows_total'), 1)
  const callbacks = children(counter(registry, 'b24_outbox_callbacks_total'), 1)
  for (const state of ['done', 'failed', 'unknown', 'dead']) rows(state).inc(0)
  for (const result of ['sent', 'retried', 'dead']) callbacks(result).inc(0)
  return {
    outboxEnded: (state) => rows(state).inc(),
    outboxCallback: (result) => callbacks(result).inc(),
  }
}

function readGauges(registry: Registry): (readings: GaugeReadings) => void {
  const set = {
    inHand: gauge(registry, 'b24_commands_in_hand'),
    oldest: gauge(registry, 'b24_command_oldest_age_seconds'),
    waiting: gauge(registry, 'b24_calls_waiting'),
    inFlight: gauge(registry, 'b24_http_inflight'),
    lanes: gauge(registry, 'b24_lanes'),
    level: gauge(registry, 'b24_bucket_level'),
    operating: gauge(registry, 'b24_operating_ratio_max'),
    connected: gauge(registry, 'b24_amqp_connected'),
    blocked: gauge(registry, 'b24_amqp_blocked'),
    unconfirmed: gauge(registry, 'b24_amqp_unconfirmed'),
    deadLetters: gauge(registry, 'b24_dead_letters_open'),
    spooled: gauge(registry, 'b24_event_spool_size'),
    spoolAge: gauge(registry, 'b24_event_spool_age_seconds'),
    unsettled: gauge(registry, 'b24_offline_unconfirmed_batches'),
    offline: gauge(registry, 'b24_offline_queues'),
    bots: gauge(registry, 'b24_bot_fetches'),
    push: gauge(registry, 'b24_push_connections'),
    outbox: gauge(registry, 'b24_outbox_depth'),
    outboxAge: gauge(registry, 'b24_outbox_age_seconds'),
    callbacks: gauge(registry, 'b24_outbox_callbacks_waiting'),
  }
  const limited = totals(counter(registry, 'b24_rate_limited_total'), { by: 'portal' })
  const reconnects = totals(counter(registry, 'b24_amqp_reconnects_total'), {})
  return ({ lanes, broker, inHand, oldestMs = 0, deadLetters, spool, offline, bots, push = {}, outbox }) => {
    const sum = { waiting: 0, inFlight: 0, overLimit: 0, level: 0, operating: 0 }
    const states = { ready: 0, throttled: 0, blocked: 0 }
    for (const { stats } of lanes) {
      sum.waiting += stats.waiting
      sum.inFlight += stats.inFlight
      sum.overLimit += stats.overLimit
      sum.level = Math.max(sum.level, stats.bucketLevel)
      sum.operating = Math.max(sum.operating, stats.operatingShare)
      states[laneState(stats)]++
    }
    set.inHand.set(inHand)
    set.oldest.set(oldestMs / 1000)
    set.deadLetters.set(deadLetters)
    set.waiting.set(sum.waiting)
    set.inFlight.set(sum.inFlight)
    set.level.set(sum.level)
    set.operating.set(sum.operating)
    for (const [state, count] of Object.entries(states)) set.lanes.set({ state }, count)
    set.connected.set(broker.connected ? 1 : 0)
    set.blocked.set(broker.blocked ? 1 : 0)
    set.unconfirmed.set(broker.unconfirmed)
    limited(sum.overLimit)
    reconnects(broker.reconnects)
    set.spooled.set(spool?.count ?? 0)
    set.spoolAge.set((spool?.ageMs ?? 0) / 1000)
    set.unsettled.set(offline?.unsettled ?? 0)
    const troubled = offline?.troubled ?? 0
    set.offline.set({ state: 'trouble' }, troubled)
    set.offline.set({ state: 'ready' }, (offline?.queues ?? 0) - troubled)
    set.bots.set({ state: 'ready' }, bots?.ready ?? 0)
    set.bots.set({ state: 'trouble' }, bots?.trouble ?? 0)
    for (const [state, count] of Object.entries(push)) set.push.set({ state }, count)
    set.outbox.set({ state: 'new' }, outbox?.waiting ?? 0)
    set.outbox.set({ state: 'taken' }, outbox?.taken ?? 0)
    set.outboxAge.set((outbox?.ageMs ?? 0) / 1000)
    set.callbacks.set(outbox?.callbacks ?? 0)
  }
}

/** A lane sends at once when it can, so calls that wait while nothing is under way are held by a limit. */
function laneState(stats: LaneStats): 'ready' | 'throttled' | 'blocked' {
  if (stats.trouble !== undefined) return 'blocked'
  return stats.waiting > 0 && stats.inFlight === 0 ? 'throttled' : 'ready'
}

const STATUS_CLASSES = ['none', '1xx', '2xx', '3xx', '4xx', '5xx']

function statusClass(status: number): string {
  return STATUS_CLASSES[Math.trunc(status / 100)] ?? 'none'
}

/** The class of a command; what is known of a method's name is looked up once. */
function commandClasses(): (report: Pick<SettledReport, 'action' | 'method'>) => string {
  const reads = new Map<string, boolean>()
  return ({ action, method }) => {
    if (action === undefined || method === undefined) return 'invalid'
    if (action !== 'call') return action
    let read = reads.get(method)
    if (read === undefined) {
      if (reads.size >= 5000) reads.clear()
      read = isReadMethod(method)
      reads.set(method, read)
    }
    return read ? 'read' : 'write'
  }
}
