import type { Generated } from 'kysely'

/** The tables as the queries see them. The statements that make them are in `migrations/`. */
export interface StoreTables {
  ledger: LedgerTable
  buckets: BucketsTable
  store_owner: StoreOwnerTable
  embedded_queues: EmbeddedQueuesTable
  embedded_exchanges: EmbeddedExchangesTable
  embedded_bindings: EmbeddedBindingsTable
  embedded_messages: EmbeddedMessagesTable
  portals: PortalsTable
  portal_aliases: PortalAliasesTable
  applications: ApplicationsTable
  installations: InstallationsTable
  tokens: TokensTable
  spare_tokens: SpareTokensTable
  application_tokens: ApplicationTokensTable
  webhooks: WebhooksTable
  secrets: SecretsTable
  secret_keys: SecretKeysTable
  leases: LeasesTable
  subscriptions: SubscriptionsTable
  event_spool: EventSpoolTable
  event_arrivals: EventArrivalsTable
  instances: InstancesTable
  lane_queues: LaneQueuesTable
  portal_rests: PortalRestsTable
  visitors: VisitorsTable
  trials: TrialsTable
  b24_outbox: OutboxTable
  b24_inbox: InboxTable
  event_cursors: EventCursorsTable
  offline_sources: OfflineSourcesTable
  offline_pumps: OfflinePumpsTable
  dead_letters: DeadLettersTable
  dead_letter_parts: DeadLetterPartsTable
}

/** Commands that were begun and how they ended. */
export interface LedgerTable {
  key: string
  state: 'started' | 'done' | 'failed'
  request_hash: string
  started_at: number
  finished_at: number | null
  reply: string | null
  repeats: Generated<number>
  claim: string | null
}

/** How full each portal's request counter was when last seen. */
export interface BucketsTable {
  key: string
  level: number
  updated_at: number
}

/** The one process that holds the database for itself; at most one row, with id 1. */
export interface StoreOwnerTable {
  id: number
  owner: string
  host: string
  pid: number
  seen_at: number
}

/** Portals by their permanent id. */
export interface PortalsTable {
  member_id: string
  domain: string
  client_endpoint: string
  server_endpoint: string | null
  request_limit: string | null
  state: 'active' | 'suspended'
  reason: string | null
  next_try: number | null
  created_at: number
  updated_at: number
}

export interface PortalAliasesTable {
  alias: string
  member_id: string
}

export interface ApplicationsTable {
  client_id: string
  name: string
  /** Sealed. */
  client_secret: string
  created_at: number
  updated_at: number
}

export interface InstallationsTable {
  member_id: string
  client_id: string
  status: string | null
  /** Words with commas between them. */
  scope: string
  version: string | null
  user_id: string | null
  created_at: number
  updated_at: number
}

/** One row a user of an application on a portal. */
export interface TokensTable {
  /** Portal, application and user in one. */
  id: string
  member_id: string
  client_id: string
  user_id: string
  /** Sealed, both. */
  access_token: string
  refresh_token: string | null
  expires_at: number | null
  scope: string
  status: string | null
  /** Rises with every pair that is stored. */
  version: number
  /** Rises with every claim and every pair from outside; what was begun under an older one may not write. */
  epoch: number
  lease_owner: string | null
  lease_until: number | null
  state: 'active' | 'dead'
  reason: string | null
  created_at: number
  renewed_at: number
}

/** Pairs that are not in use, for the day when the one in use is lost. */
export interface SpareTokensTable {
  id: string
  token_id: string
  member_id: string
  client_id: string
  user_id: string
  source: 'orphan' | 'event' | 'access'
  /** Sealed, both. */
  access_token: string
  refresh_token: string | null
  expires_at: number | null
  created_at: number
}

/** By which event requests prove their origin; kept as fingerprints. */
export interface ApplicationTokensTable {
  member_id: string
  fingerprint: string
  client_id: string | null
  label: string
  created_at: number
}

export interface WebhooksTable {
  /** Fingerprint of the address. */
  id: string
  member_id: string | null
  domain: string
  user_id: string
  name: string
  /** Sealed. */
  url: string
  created_at: number
}

/** Secrets of the program itself, sealed. */
export interface SecretsTable {
  name: string
  value: string
}

/** The keys that may have sealed something here, each with a text that only it can open. */
export interface SecretKeysTable {
  kid: string
  canary: string
  added_at: number
}

/** Who is the only one to do something, and until when. */
export interface LeasesTable {
  name: string
  owner: string
  until: number
  fence: number
}

/** What was set aside. */
export interface DeadLettersTable {
  id: string
  kind: 'command' | 'reply' | 'event' | 'foreign'
  state: 'open' | 'retried'
  reason: string
  description: string | null
  hint: string | null
  /** 1 when the portal may have carried it out. */
  unsure: number
  queue: string | null
  contract: string | null
  portal: string | null
  method: string | null
  message_id: string | null
  correlation_id: string | null
  target_exchange: string | null
  /** Empty for none where the exchange is known. */
  target_key: string | null
  attempts: number
  deliveries: number
  body_bytes: number
  sent_at: number | null
  died_at: number
  stored_at: number
  retries: number
  retried_at: number | null
  retried_by: string | null
  /** Until then somebody is sending it again; by the database's clock. */
  claimed_until: number
  retry_of: string | null
  properties: string
  /** Sealed: the headers that are secret, as JSON. */
  secret_headers: string | null
}

/** The body of a letter, in parts from 0. */
export interface DeadLetterPartsTable {
  letter_id: string
  part: number
  content: Buffer
}

/** How far a source of events has been read. */
export interface EventCursorsTable {
  name: string
  value: string
  updated_at: number
}

/** When the handlers of an application on a portal were looked at. */
export interface OfflineSourcesTable {
  /** Portal and application in one. */
  id: string
  member_id: string
  client_id: string
  seen_at: number
}

/** An offline queue of an application on a portal, and when to look into it next. */
export interface OfflinePumpsTable {
  /** Portal, application and connector in one. */
  id: string
  member_id: string
  client_id: string
  /** `auth_connector` of its handlers; empty for those without. */
  connector: string
  /** How it can be drained, as far as known. */
  scheme: 'reserve' | 'delete' | 'unknown'
  /** Until when that is believed. */
  scheme_until: number
  due_at: number
  /** Looks in a row that found nothing. */
  idle_polls: number
  /** Code of what keeps it from being drained. */
  trouble: string | null
}

/** Processes that share the store, and when each was last heard of. */
export interface InstancesTable {
  owner: string
  seen_at: number
}

/** Events that wait for the broker, in the order in which they came. */
export interface EventSpoolTable {
  id: Generated<number>
  member_id: string
  event_key: string
  /** As JSON, without any token. */
  event: string
  spooled_at: number
}

/** Objects that events have told of lately. */
export interface EventArrivalsTable {
  id: Generated<number>
  member_id: string
  /** `crm.deal` and the like. */
  entity: string
  object_id: string
  act: 'add' | 'change'
  /** By the portal's clock. */
  happened_at: number
  noted_at: number
}

/** What was last applied to each portal, and what of it is bound there by us. */
export interface SubscriptionsTable {
  /** `*` for what was last applied to all portals. */
  member_id: string
  client_id: string
  document: string
  base: string
  remembered: string
  applied_at: number
}

/** Queues that hold the backlog of one portal. */
export interface LaneQueuesTable {
  queue: string
  domain: string
  used_at: number
}

/** Commands as rows, written by others. */
export interface OutboxTable {
  id: Generated<number>
  portal: string | null
  method: string | null
  /** JSON, like `meta`, `options` and `then_run`; checked when the row is taken. */
  params: string | null
  action: string | null
  as_user: string | null
  options: string | null
  meta: string | null
  order_key: string | null
  priority: string | null
  message_id: string | null
  callback: string | null
  then_run: string | null
  not_before: number | null
  created_at: Generated<number>
  state: Generated<'new' | 'taken' | 'done' | 'failed' | 'unknown' | 'dead'>
  /** 1 until it has ended. */
  pending: Generated<number>
  attempts: Generated<number>
  last_error: string | null
  owner: string | null
  /** While taken until when it is held; while new: not before this moment. */
  lease_until: number | null
  finished_at: number | null
  /** Id of the row that a chain began with. */
  chain_id: number | null
  chain_step: Generated<number>
  /** JSON: what later steps refer to. */
  chain_values: string | null
}

/** Replies to the rows of the outbox, and events, for others to read. */
export interface InboxTable {
  id: Generated<number>
  kind: 'reply' | 'event'
  outbox_id: number | null
  chain_id: number | null
  chain_step: number | null
  message_id: string | null
  portal: string | null
  /** The method of a reply, the name of an event. */
  name: string | null
  outcome: 'done' | 'failed' | 'unknown' | null
  status_code: number | null
  /** JSON, like `details` and `meta`. */
  result: string | null
  error_code: string | null
  error: string | null
  meta: string | null
  details: string | null
  created_at: Generated<number>
  /** 0 until its reader says otherwise. */
  processed: Generated<number>
  callback: string | null
  callback_state: 'waiting' | 'sent' | 'dead' | null
  callback_attempts: Generated<number>
  /** When it is due; empty when there is nothing to be sent. */
  callback_at: number | null
  callback_error: string | null
}

/** What portals want to be left alone with. */
export interface PortalRestsTable {
  id: string
  domain: string
  method: string | null
  credential: string | null
  code: string
  until: number
}

/** Users whose tokens came with a page that they opened. */
export interface VisitorsTable {
  token_id: string
  member_id: string
}

/** Messages that a process may have died of, while somebody has them in hand. */
export interface TrialsTable {
  id: string
  owner: string
  deaths: number
  /** 1 when others were begun beside it. */
  crowded: number
  seen_at: number
}

/** The embedded broker's tables; it states its needs itself, in `brokers/embedded/tables.ts`, and the two must match. */
export interface EmbeddedQueuesTable {
  name: string
  durable: number
  type: string
  arguments: string
}

export interface EmbeddedExchangesTable {
  name: string
  type: string
  durable: number
}

export interface EmbeddedBindingsTable {
  exchange: string
  queue: string
  routing_key: string
}

export interface EmbeddedMessagesTable {
  id: number | null
  queue: string
  state: number
  priority: number
  exchange: string
  routing_key: string
  properties: string
  body: Buffer
  delivery_count: number
  visible_at: number
  expires_at: number | null
  owner: string | null
  lease_until: number | null
}
