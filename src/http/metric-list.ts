/** What metrics are about, in the order of the dashboard. */
export const METRIC_GROUPS = [
  'Commands',
  'Requests to portals',
  'Limits and portals',
  'Broker',
  'Dead letters',
  'Events',
  'Offline events',
  'Push',
  'Outbox',
  'HTTP server',
] as const

/** The name of a group. */
export type MetricGroup = (typeof METRIC_GROUPS)[number]

/** One metric as Prometheus sees it. */
export interface MetricSpec {
  readonly name: string
  /** Its place on the dashboard. */
  readonly group: MetricGroup
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** How a gauge of several processes is read as one; their sum unless given. */
  readonly across?: 'max' | 'min'
  /** One sentence; stands in `/metrics` and in the documentation. */
  readonly help: string
  /** What each label can be. */
  readonly labels?: Readonly<Record<string, string>>
  /** Upper bounds of a histogram. */
  readonly buckets?: readonly number[]
  /** When a person should look. */
  readonly alert?: string
}

const CLASS = '`read` and `write` (one method), `list`, `batch`, `invalid` (could not be read as a command)'

/**
 * Every metric of the bridge, once: the registry, `docs/metrics.md` and a test are made from it. Nothing has a portal
 * as a label, so that the number of series does not grow with the number of portals.
 */
export const METRICS = [
  {
    name: 'b24_commands_total',
    group: 'Commands',
    type: 'counter',
    help: 'Commands that ended, by how they ended.',
    labels: {
      outcome: '`done`, `failed`, `unknown`, `requeued` (handed back to the broker, comes again)',
      class: CLASS,
    },
    alert: '`unknown` above 0.1 % of all',
  },
  {
    name: 'b24_commands_replayed_total',
    group: 'Commands',
    type: 'counter',
    help: 'Commands that were delivered again and answered from the ledger, without a call.',
  },
  {
    name: 'b24_commands_moved_total',
    group: 'Commands',
    type: 'counter',
    labels: {
      to: '`lane` (the queue of a portal with a backlog), `delay` (a wait of its own), `suspect` (tried alone)',
    },
    help: 'Commands that were moved out of the way of others. Each may be moved several times.',
  },
  {
    name: 'b24_lane_queues',
    group: 'Commands',
    type: 'gauge',
    help: 'Portals whose backlog stands in a queue of its own.',
  },
  {
    name: 'b24_command_duration_seconds',
    group: 'Commands',
    type: 'histogram',
    help: 'From the delivery of a command to its confirmed reply.',
    labels: { class: CLASS },
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
    alert: 'the 99th percentile above what your callers accept',
  },
  {
    name: 'b24_commands_in_hand',
    group: 'Commands',
    type: 'gauge',
    help: 'Commands between delivery and acknowledgement.',
  },
  {
    name: 'b24_command_oldest_age_seconds',
    group: 'Commands',
    across: 'max',
    type: 'gauge',
    help: 'How long the oldest of them has been here.',
    alert: 'above 15 minutes',
  },
  {
    name: 'b24_calls_waiting',
    group: 'Commands',
    type: 'gauge',
    help: 'Commands and calls that wait in the lanes of all portals for their turn.',
    alert: 'growing for 30 minutes',
  },
  {
    name: 'b24_batch_size',
    group: 'Requests to portals',
    type: 'histogram',
    help: 'Calls that one request to a portal carried.',
    buckets: [1, 2, 5, 10, 20, 30, 40, 50],
  },
  {
    name: 'b24_http_requests_total',
    group: 'Requests to portals',
    type: 'counter',
    help: 'Requests to portals.',
    labels: {
      status_class: '`2xx`, `3xx`, `4xx`, `5xx`, `none` (no answer)',
      error_code:
        'code of the error that the request as a whole met, `none`, or `other` past 50 different codes',
    },
    alert: '`5xx` and `none` above 1 % of all',
  },
  {
    name: 'b24_http_request_duration_seconds',
    group: 'Requests to portals',
    type: 'histogram',
    help: 'Duration of requests to portals; a portal cuts one off after 60 seconds.',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60],
    alert: 'anything above 40 seconds',
  },
  {
    name: 'b24_http_inflight',
    group: 'Requests to portals',
    type: 'gauge',
    help: 'Requests to portals under way.',
  },
  {
    name: 'b24_lanes',
    group: 'Limits and portals',
    type: 'gauge',
    help: 'Portals by the state of their lane.',
    labels: {
      state:
        '`ready`, `throttled` (calls wait and none is under way: a limit holds them), `blocked` (the portal is down or refuses us)',
    },
    alert: '`blocked` above 1 % of all portals for 15 minutes',
  },
  {
    name: 'b24_rate_limited_total',
    group: 'Limits and portals',
    type: 'counter',
    help: 'Requests that were refused because of a request limit. Waiting for our own count is no refusal.',
    labels: { by: '`portal`' },
    alert: 'above 1 % of the requests: somebody else uses the same limit',
  },
  {
    name: 'b24_bucket_level',
    group: 'Limits and portals',
    across: 'max',
    type: 'gauge',
    help: 'The fullest request bucket of all portals, as we count it.',
  },
  {
    name: 'b24_operating_ratio_max',
    group: 'Limits and portals',
    across: 'max',
    type: 'gauge',
    help: 'Highest share of its operating limit that a method has used on a portal; 1 is all.',
    alert: 'above 0.9',
  },
  {
    name: 'b24_amqp_connected',
    group: 'Broker',
    across: 'min',
    type: 'gauge',
    help: '1 while the broker is connected, else 0.',
    alert: '0 for a minute',
  },
  {
    name: 'b24_amqp_blocked',
    group: 'Broker',
    across: 'max',
    type: 'gauge',
    help: '1 while the broker asks publishers to pause (memory or disk alarm), else 0.',
    alert: '1 for a minute',
  },
  {
    name: 'b24_amqp_unconfirmed',
    group: 'Broker',
    type: 'gauge',
    help: 'Publications sent and not yet confirmed.',
  },
  {
    name: 'b24_amqp_reconnects_total',
    group: 'Broker',
    type: 'counter',
    help: 'Connections to the broker that were made anew.',
  },
  {
    name: 'b24_dead_letters_total',
    group: 'Dead letters',
    type: 'counter',
    help: 'Messages set aside in the dead letter queue.',
    labels: {
      reason:
        'why: `REPLY_UNROUTABLE`, `OUTCOME_UNKNOWN`, the code of a command that could not be read, or `other` past 50',
    },
    alert: 'above 0',
  },
  {
    name: 'b24_dead_letters_open',
    group: 'Dead letters',
    across: 'max',
    type: 'gauge',
    help: 'Dead letters in the store that nobody has sent again or dropped. Every process on one store shows the same number: take the greatest.',
    alert: 'above 0 for a day',
  },
  {
    name: 'b24_dead_letter_retries_total',
    group: 'Dead letters',
    type: 'counter',
    help: 'Dead letters that this process has sent again.',
  },
  {
    name: 'b24_events_received_total',
    group: 'Events',
    type: 'counter',
    help: 'Event requests of portals, by what became of them.',
    labels: {
      result:
        '`published`, `spooled` (in the store until the broker takes it), `set-aside` (no broker could carry it, so it is a dead letter), `duplicate` (kept before), `nudge` (offline events wait), `refused` (not proven), `invalid` (no form of a portal), `unknown` (not for this address), `lost` (could be kept nowhere)',
    },
    alert: '`lost` above 0; `refused` all at once: an application token has changed',
  },
  {
    name: 'b24_event_ack_seconds',
    group: 'Events',
    type: 'histogram',
    help: 'From the arrival of an event request to its 200, when the event is on a disk.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3],
    alert: 'the 99th percentile above a second: portals send later events late',
  },
  {
    name: 'b24_events_published_total',
    group: 'Events',
    type: 'counter',
    help: 'Events of all kinds that the broker has confirmed.',
    labels: { routed: '`yes`, `no` (no queue is bound for it: kept on the queue of unrouted events)' },
    alert: '`no`, when every event should have its reader',
  },
  {
    name: 'b24_event_spool_size',
    group: 'Events',
    across: 'max',
    type: 'gauge',
    help: 'Events in the store that wait for the broker.',
    alert: 'growing while the broker is connected',
  },
  {
    name: 'b24_event_spool_age_seconds',
    group: 'Events',
    across: 'max',
    type: 'gauge',
    help: 'How long the oldest of them has waited.',
    alert: 'above 10 minutes',
  },
  {
    name: 'b24_offline_events_total',
    group: 'Offline events',
    type: 'counter',
    help: 'Events that were fetched from offline queues and confirmed by the broker.',
  },
  {
    name: 'b24_offline_lag_seconds',
    group: 'Offline events',
    across: 'max',
    type: 'gauge',
    help: 'How old the oldest event was that was fetched from an offline queue since the last scrape.',
    alert: 'above an hour',
  },
  {
    name: 'b24_offline_unconfirmed_batches',
    group: 'Offline events',
    type: 'gauge',
    help: 'Sets of rows that this process has read from offline queues and not cleared yet.',
  },
  {
    name: 'b24_offline_queues',
    group: 'Offline events',
    type: 'gauge',
    help: 'Offline queues of all portals by their state.',
    labels: { state: '`ready`, `trouble` (cannot be drained now; the log says why)' },
    alert: '`trouble` above 1 % of all for an hour',
  },
  {
    name: 'b24_token_refreshes_total',
    group: 'Limits and portals',
    type: 'counter',
    help: 'Renewals of tokens at the authorization server, by how they ended.',
    labels: {
      outcome:
        '`refreshed`, `failed` (tried again by itself), `suspended` (refused: somebody must look at the portal)',
    },
    alert: '`suspended` above 0; `failed` for 15 minutes',
  },
  {
    name: 'b24_scans_total',
    group: 'Events',
    type: 'counter',
    help: 'Looks at a portal for changes of which no event told, by how they ended.',
    labels: { result: '`done`, `failed` (tried again by itself)' },
    alert: '`failed` for 30 minutes',
  },
  {
    name: 'b24_scan_events_total',
    group: 'Events',
    type: 'counter',
    help: 'Events that never arrived, and were found by looking.',
    alert: 'rising while no portal was unreachable: events are lost on their way here',
  },
  {
    name: 'b24_event_records_total',
    group: 'Events',
    type: 'counter',
    help: 'Events that were to be published with the changed record, by whether it could be read.',
    labels: { result: '`read`, `failed` (published without it)' },
    alert: '`failed` above a tenth of all',
  },
  {
    name: 'b24_bot_fetches',
    group: 'Events',
    type: 'gauge',
    help: 'Applications on portals whose bots this process asks for events, by their state.',
    labels: { state: '`ready`, `trouble` (cannot be asked now; the log says why)' },
    alert: '`trouble` above 0 for 15 minutes',
  },
  {
    name: 'b24_push_connections',
    group: 'Push',
    type: 'gauge',
    help: 'Applications that are listened for at push servers, by the state of their connection.',
    labels: {
      state:
        '`open`, `polling` (long polling), `connecting` (or waiting to), `held` (the broker is behind), `halted` (the portal has no push server for us)',
    },
    alert: '`connecting` above a tenth of all for 15 minutes; `halted` rising',
  },
  {
    name: 'b24_push_messages_total',
    group: 'Push',
    type: 'counter',
    help: 'Messages of push servers, by what became of them.',
    labels: {
      fate: '`published`, `offline` (offline events wait), `control` (about the connection itself), `refused` (the broker will never take it)',
    },
    alert: '`refused` above 0',
  },
  {
    name: 'b24_push_reconnects_total',
    group: 'Push',
    type: 'counter',
    help: 'Connections to push servers that were made anew.',
  },
  {
    name: 'b24_outbox_rows_total',
    group: 'Outbox',
    type: 'counter',
    help: 'Rows of the outbox that ended, by how they ended.',
    labels: { state: '`done`, `failed`, `unknown`, `dead` (taken again and again without an end)' },
    alert: '`dead` above 0',
  },
  {
    name: 'b24_outbox_depth',
    group: 'Outbox',
    across: 'max',
    type: 'gauge',
    help: 'Rows of the outbox that have not ended. Every process on one store shows the same number: take the greatest.',
    labels: { state: '`new`, `taken`' },
    alert: 'growing for 30 minutes',
  },
  {
    name: 'b24_outbox_age_seconds',
    group: 'Outbox',
    across: 'max',
    type: 'gauge',
    help: 'How long the oldest row of the outbox has been due.',
    alert: 'above 10 minutes',
  },
  {
    name: 'b24_outbox_callbacks_total',
    group: 'Outbox',
    type: 'counter',
    help: 'Attempts to tell the reply to a row where its callback wanted it.',
    labels: { result: '`sent`, `retried` (comes again later), `dead` (was the last attempt)' },
    alert: '`dead` above 0',
  },
  {
    name: 'b24_outbox_callbacks_waiting',
    group: 'Outbox',
    across: 'max',
    type: 'gauge',
    help: 'Replies whose callback has not succeeded yet. Every process on one store shows the same number.',
    alert: 'growing for an hour',
  },
  {
    name: 'b24_api_requests_total',
    group: 'HTTP server',
    type: 'counter',
    help: 'Requests to the HTTP server of the bridge itself.',
    labels: {
      route: 'the route as documented, or `other`',
      status: 'HTTP status; 499 when the caller hung up',
    },
    alert: '`5xx`',
  },
] as const satisfies readonly MetricSpec[]

/** The name of a metric of the list. */
export type MetricName = (typeof METRICS)[number]['name']

/** The entry of a metric. */
export function metricSpec(name: MetricName): MetricSpec {
  return METRICS.find((spec) => spec.name === name) as MetricSpec
}
