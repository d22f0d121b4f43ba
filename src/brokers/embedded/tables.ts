/** What the embedded broker needs of the database that it is given; a migration in `stores/migrations/` makes these tables. */
export interface EmbeddedTables {
  embedded_queues: {
    name: string
    /** 1 or 0; kept to be compared, for every queue survives a restart here. */
    durable: number
    type: string
    /** As `argumentsText` writes them. */
    arguments: string
  }
  embedded_exchanges: { name: string; type: string; durable: number }
  embedded_bindings: { exchange: string; queue: string; routing_key: string }
  embedded_messages: MessageRow
}

export interface MessageRow {
  /** Given by the database, in order of arrival; `null` when inserting. */
  id: number | null
  queue: string
  /** One of `READY`, `LEASED`, `DELAYED`. */
  state: number
  priority: number
  exchange: string
  routing_key: string
  /** As `encodeProperties` writes them. */
  properties: string
  body: Buffer
  /** Times handed out. */
  delivery_count: number
  /** Not before this moment. */
  visible_at: number
  expires_at: number | null
  /** The broker instance that has handed it out, and until when it may take to settle it or renew the lease. */
  owner: string | null
  lease_until: number | null
}

export const READY = 0
export const LEASED = 1
export const DELAYED = 2
