import type { Ledger } from '../bridge/commands/ledger.ts'
import { createNativeContract } from '../bridge/contracts/native.ts'
import type { EventOutlet } from '../bridge/events/outlet.ts'
import { createCallbacks } from '../bridge/outbox/deliver.ts'
import { outletWithInbox } from '../bridge/outbox/events.ts'
import { createOutboxRelay } from '../bridge/outbox/relay.ts'
import { createCallbackSender } from '../client/callback.ts'
import { outboxQueries } from '../stores/outbox.ts'
import { endTrial, tryAlone } from '../stores/queries/trials.ts'
import type { Listening } from '../stores/store.ts'
import { certificates, type Foundation } from './foundation.ts'

/** Commands as rows, as the other parts of the service see them. */
export interface OutboxPart {
  /** What is known of the tables, as counted a moment ago; `undefined` where the outbox is off. */
  stats(): OutboxStats | undefined
  /** Begins to take rows and to tell replies. Without effect where the settings say no. */
  start(): Promise<void>
  /** Takes no more rows and waits for those in hand, at most `boundMs`; true when all have ended. */
  drain(boundMs: number): Promise<boolean>
}

/** How full the tables are. */
export interface OutboxStats {
  readonly waiting: number
  readonly taken: number
  readonly ageMs: number
  readonly callbacks: number
}

const COUNT_MS = 15_000
const PRUNE_MS = 10 * 60_000

/** Puts the parts together that carry out rows of `b24_outbox`. Does no I/O before `start`. */
export function createOutboxPart(base: Foundation, ledger: Ledger): OutboxPart {
  const { config, store, broker, portals, metrics, logger, owner, now, random, newId, closing } = base
  const { enabled, pollMs, retentionMs, secrets, privateHosts } = config.outbox
  if (!enabled) return { stats: () => undefined, start: async () => undefined, drain: async () => true }
  const queries = outboxQueries(store, owner)
  const log = (event: string, fields: Readonly<Record<string, unknown>>): void => logger.warn(fields, event)
  const rules = { secrets, privateHosts }
  const sender = createCallbackSender({ privateHosts, ...certificates(config) })
  const common = { store: queries, rules, pollMs, now, log }
  const callbacks = createCallbacks({
    ...common,
    broker,
    sender,
    random,
    onAttempt: metrics.outboxCallback,
  })
  const relay = createOutboxRelay({
    ...common,
    suspects: {
      begin: (id, at) => tryAlone(store.db, { id, owner, now: at }),
      end: (id) => endTrial(store.db, id, owner),
    },
    portals,
    ledger,
    newId,
    contract: createNativeContract({ maxBodyBytes: config.maxBodyBytes }),
    source: 'outbox',
    maxReplyBytes: config.maxBodyBytes,
    maxListBytes: config.maxBodyBytes,
    quietMs: config.quietMs,
    onEnd({ state, reply }, row, ms) {
      metrics.outboxEnded(state)
      logger.info(
        {
          outbox: row.id,
          method: reply.name,
          portal: reply.portal,
          outcome: state,
          error: reply.error_code,
          ms,
        },
        'outbox.settled',
      )
    },
    onCallback: () => callbacks.wake(),
  })
  let counted: OutboxStats = { waiting: 0, taken: 0, ageMs: 0, callbacks: 0 }
  async function count(): Promise<void> {
    const [depth, waiting] = await Promise.all([queries.depth(), queries.callbacks()])
    counted = { ...depth, callbacks: waiting }
  }
  return {
    stats: () => counted,
    async start() {
      // Nobody else uses this store: what is taken was taken by a process that is gone.
      if (!store.features.shared) await queries.freeOthers()
      const listening: Listening[] = store.listen ? [store.listen('b24_outbox', () => relay.wake())] : []
      relay.start()
      callbacks.start()
      const counting = (): void => void count().catch(() => {})
      counting()
      const timers = [
        setInterval(counting, COUNT_MS),
        setInterval(() => void queries.prune(retentionMs).catch(() => 0), PRUNE_MS),
      ]
      closing.push(async () => {
        timers.forEach(clearInterval)
        for (const one of listening) await one.close()
        await relay.close(0)
        await callbacks.close()
        await sender.close()
      })
      logger.info({ told: store.listen !== undefined, pollMs }, 'outbox.ready')
    },
    drain: (boundMs) => relay.close(boundMs),
  }
}

/** Events that the settings want in the inbox are kept there, before the broker has them. */
export function keepingEvents(base: Foundation, outlet: EventOutlet): EventOutlet {
  const { store, owner, config } = base
  const { enabled, events } = config.outbox
  return enabled ? outletWithInbox(outlet, events, outboxQueries(store, owner)) : outlet
}
