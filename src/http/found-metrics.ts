import type { Registry } from 'prom-client'
import { children, counter } from './metric-series.ts'

/** What is counted of what the bridge finds by looking. */
export interface FoundMetrics {
  /** A portal was looked at for changes of which no event told. */
  scanned(report: { readonly found: number; readonly failed: boolean }): void
  /** Events were given the records that they are about, or not. */
  enriched(counts: { readonly read: number; readonly failed: number }): void
}

/** Counts it; series that exist from the start let alerts see the first increase. */
export function countFound(registry: Registry): FoundMetrics {
  const scans = children(counter(registry, 'b24_scans_total'), 1)
  const found = counter(registry, 'b24_scan_events_total')
  const records = children(counter(registry, 'b24_event_records_total'), 1)
  for (const result of ['done', 'failed']) scans(result).inc(0)
  return {
    scanned(report) {
      scans(report.failed ? 'failed' : 'done').inc()
      found.inc(report.found)
    },
    enriched({ read, failed }) {
      records('read').inc(read)
      records('failed').inc(failed)
    },
  }
}
