import type { Broker } from '../brokers/broker.ts'
import type { HealthReport } from './health.ts'

/** What probes are told of the parts: the broker, the subscription to its queue, and the store. */
export function readiness(seen: {
  readonly broker: Broker
  readonly draining: boolean
  readonly serving: boolean
  readonly storeTrouble: string | undefined
}): HealthReport {
  const { connected, blocked, reason } = seen.broker.state()
  const trouble = connected ? 'the broker is short of memory or disk' : (reason ?? 'not connected')
  const well = connected && !blocked
  const { storeTrouble } = seen
  return {
    draining: seen.draining,
    started: seen.serving,
    parts: [
      { name: 'broker', ok: well, ...(well ? {} : { reason: trouble }) },
      { name: 'queue', ok: seen.serving, ...(seen.serving ? {} : { reason: 'not subscribed yet' }) },
      {
        name: 'store',
        ok: storeTrouble === undefined,
        ...(storeTrouble === undefined ? {} : { reason: storeTrouble }),
      },
    ],
  }
}
