/** A row of the outbox: a native command in columns. Whatever its writer put there; nothing is checked yet. */
export interface OutboxRow {
  readonly id: number
  readonly portal: string | null
  readonly method: string | null
  readonly params: string | null
  readonly action: string | null
  readonly as_user: string | null
  readonly options: string | null
  readonly meta: string | null
  readonly order_key: string | null
  readonly priority: string | null
  readonly message_id: string | null
  readonly callback: string | null
  readonly then_run: string | null
  readonly not_before: number | null
  readonly created_at: number
  /** Times taken, this one included. */
  readonly attempts: number
  readonly chain_id: number | null
  readonly chain_step: number
  readonly chain_values: string | null
}

/** What a row becomes in the inbox. */
export interface InboxReply {
  readonly kind: 'reply'
  readonly outbox_id: number
  readonly chain_id: number | null
  readonly chain_step: number
  readonly message_id: string | null
  readonly portal: string | null
  readonly name: string | null
  readonly outcome: 'done' | 'failed' | 'unknown'
  readonly status_code: number
  readonly result: string | null
  readonly error_code: string | null
  readonly error: string | null
  readonly meta: string | null
  readonly details: string
  readonly callback: string | null
  readonly callback_state: 'waiting' | null
  readonly callback_at: number | null
}

/** The next row of a chain. */
export type NextRow = Omit<OutboxRow, 'id' | 'created_at' | 'attempts' | 'not_before'>

/** How a row ended. */
export interface OutboxEnd {
  readonly id: number
  readonly state: 'done' | 'failed' | 'unknown' | 'dead'
  readonly error: string | null
  readonly reply: InboxReply
  readonly next?: NextRow
}

/** A reply whose callback is due. */
export interface DueCallback
  extends Omit<
    InboxReply,
    'kind' | 'details' | 'outcome' | 'status_code' | 'chain_step' | 'outbox_id' | 'callback_state'
  > {
  readonly id: number
  readonly outbox_id: number | null
  readonly chain_step: number | null
  readonly outcome: string | null
  readonly details: string | null
  readonly created_at: number
  /** This attempt included. */
  readonly callback_attempts: number
  /** Of the attempt before. */
  readonly callback_error: string | null
}

/** The rows that this process shares with others. */
export interface OutboxStore {
  take(take: {
    readonly ttlMs: number
    readonly limit: number
    readonly exceptPortals: readonly (string | null)[]
    /** Rows that were taken so often before, or more often, are suspects. */
    readonly suspectFrom: number
    /** Which of the suspects that are due, the oldest first, are taken now. */
    readonly chooseSuspects: <R extends Pick<OutboxRow, 'attempts'>>(due: readonly R[]) => readonly R[]
  }): Promise<readonly OutboxRow[]>
  /** Holds these for longer; whatever else was taken comes free when its time is over. */
  renew(ids: readonly number[], ttlMs: number): Promise<void>
  giveBack(ids: readonly number[], restMs: number): Promise<void>
  /** Resolves to the ids that were still ours. */
  end(ends: readonly OutboxEnd[]): Promise<ReadonlySet<number>>
}

/** The replies that are to be told. */
export interface CallbackStore {
  takeCallbacks(take: {
    readonly limit: number
    readonly holdMs: number
    /** Those whose callback begins so are left for later. */
    readonly exceptBegins: readonly string[]
  }): Promise<readonly DueCallback[]>
  endCallback(end: {
    readonly id: number
    readonly attempt: number
    readonly counts: boolean
    readonly state: 'waiting' | 'sent' | 'dead'
    readonly inMs?: number
    readonly error: string | null
  }): Promise<void>
}
