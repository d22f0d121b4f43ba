import type { CommandServer } from '../bridge/commands/consume.ts'
import type { ConsumeSettings } from '../bridge/commands/handle.ts'
import type { Ledger } from '../bridge/commands/ledger.ts'
import { namesMethod } from '../bridge/commands/names-method.ts'
import type { ChosenContract } from '../bridge/contracts/select.ts'
import type { Broker } from '../brokers/broker.ts'
import type { Logger } from '../log.ts'
import { pruneLedger } from '../stores/queries/ledger.ts'
import { pruneTrials } from '../stores/queries/trials.ts'
import { addFacts, type SpanFacts } from '../util/tracing.ts'
import type { Turns } from '../util/turns.ts'
import { serveAlone, serveWithAside } from './aside.ts'
import { sealForQueue } from './dead-letters.ts'
import type { Foundation } from './foundation.ts'

const PRUNE_MS = 10 * 60_000
const RECHECK_MS = 2000
/** A message that did not come again for so long was taken by somebody else. */
const TRIAL_MS = 7 * 24 * 3_600_000

/** Makes what the contract needs at the broker, and begins to serve its queue. Waits for a broker that is away. */
export async function serveCommands(
  base: Foundation,
  chosen: ChosenContract,
  { ledger, turns }: { readonly ledger: Ledger; readonly turns: Turns },
): Promise<CommandServer> {
  const { broker, portals, config, logger, metrics, now, newId, closing, store } = base
  await base.unlessStopped(chosen.prepare(broker))
  const settings: ConsumeSettings = {
    broker,
    portals,
    ledger,
    turns,
    now,
    newId,
    queue: chosen.commandQueue,
    prefetch: config.prefetch,
    contract: chosen.contract,
    replyAddress: chosen.replyAddress,
    deadQueue: chosen.deadQueue,
    seal: (id, text) => sealForQueue(base.secrets, id, text),
    keepUnknown: config.keepUnknown,
    keepFailed: namesMethod(config.keepFailed),
    strictOrder: chosen.strictOrder,
    run: { countLists: chosen.countLists, maxListBytes: config.maxBodyBytes },
    maxReplyBytes: config.maxBodyBytes,
    quietMs: config.quietMs,
    onSettled(report) {
      metrics.settled(report)
      addFacts(settledFacts(report))
      logger.info(report, 'command.settled')
    },
    log(event, fields) {
      if (event === 'dead.kept') metrics.deadLetter(String(fields.reason))
      logger.warn(fields, event)
    },
  }
  if (store.features.shared && config.quietMs <= config.requestTimeoutMs)
    logger.warn(SHORT, 'quiet-period.short')
  // Queues of our own need the right to make them.
  const serving = config.topology === 'declare' ? serveWithAside(base, settings) : serveAlone(base, settings)
  const consumer = await base.unlessStopped(serving)
  const timers = [
    setInterval(() => {
      void pruneLedger(store.db, config.ledgerRetentionMs).catch(() => 0)
      void pruneTrials(store.db, base.sharedNow() - TRIAL_MS).catch(() => undefined)
    }, PRUNE_MS),
    setInterval(recheckAfterReconnect(broker, chosen, logger), RECHECK_MS),
  ]
  closing.push(async () => timers.forEach(clearInterval))
  return consumer
}

const SHORT = {
  hint: 'Set BRIDGE_QUIET_PERIOD above BRIDGE_REQUEST_TIMEOUT: another process may repeat a write that the portal is still working on.',
}

/** What became of a command, for its span. */
function settledFacts(report: Parameters<ConsumeSettings['onSettled']>[0]): SpanFacts {
  return {
    'b24.outcome': report.outcome,
    'b24.portal': report.portal,
    'b24.action': report.action,
    'b24.method': report.method,
    'b24.attempts': report.attempts,
    'b24.replayed': report.replayed || undefined,
    'error.type': report.code,
  }
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
