/** The tables as the queries see them. The statements that make them are in `migrations/`. */
export interface StoreTables {
  ledger: LedgerTable
  buckets: BucketsTable
  store_owner: StoreOwnerTable
  embedded_queues: EmbeddedQueuesTable
  embedded_exchanges: EmbeddedExchangesTable
  embedded_bindings: EmbeddedBindingsTable
  embedded_messages: EmbeddedMessagesTable
}

/** Commands that were begun and how they ended. */
export interface LedgerTable {
  key: string
  state: 'started' | 'done'
  request_hash: string
  started_at: number
  finished_at: number | null
  reply: string | null
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
