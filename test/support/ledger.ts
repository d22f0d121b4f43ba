import { onTestFinished } from 'vitest'
import { createLedger, type Ledger, type LedgerStore } from '../../src/bridge/commands/ledger.ts'
import type { Portal } from '../../src/bridge/portals.ts'
import { createLane, type LaneOptions } from '../../src/client/lane/lane.ts'
import { createTransport } from '../../src/client/transport.ts'
import { parseWebhook, webhookCredential } from '../../src/model/webhook.ts'
import { ledgerQueries } from '../../src/stores/bound.ts'
import { openStore } from '../../src/stores/open.ts'
import { stopwatchBy } from '../../src/util/stopwatch.ts'

/** What the processes of a test share: the store of their ledgers, in memory. */
export async function sharedLedgers(quietMs: number): Promise<{
  readonly store: LedgerStore
  /** The ledger of one more process, over `store` unless another is given. */
  open(store?: LedgerStore): Ledger
}> {
  const opened = await openStore('sqlite::memory:', { now: Date.now })
  onTestFinished(() => opened.close())
  const { store } = ledgerQueries(opened)
  return {
    store,
    open: (own = store) =>
      createLedger(own, {
        now: Date.now,
        quietMs,
        shared: true,
        startStopwatch: stopwatchBy(Date.now),
      }),
  }
}

/** A portal as a command finds it, with a lane of its own. */
export function portalAt(webhook: string, more: Partial<LaneOptions> = {}): Portal {
  const transport = createTransport({ timeoutMs: 5000 })
  const credential = webhookCredential(parseWebhook(webhook))
  const lane = createLane({ transport, credential, limit: null, ...more })
  onTestFinished(async () => {
    await lane.close(0)
    await transport.close()
  })
  return { domain: 'portal.example', lane, credential }
}
