import type { Fault } from './faults.ts'
import type { PortalChanges } from './portal.ts'
import { type HttpAnswer, htmlAnswer, plainAnswer } from './respond.ts'
import type { SandboxStats } from './stats.ts'

/** What the control addresses can do; the sandbox itself. */
export interface Controls {
  stats(portal?: string, withLog?: boolean): SandboxStats
  fault(script: readonly Fault[]): void
  change(changes: PortalChanges, portal?: string): void
  rename(newHost: string, portal?: string): void
  advance(ms: number): void
}

/**
 * The addresses under `/__sandbox/`, which cost nothing and are no part of a real portal. `portal` in the query
 * names a portal by host; without it the one that was asked.
 *
 * | request | does |
 * | --- | --- |
 * | `GET stats[?log=1]` | statistics, with the log of writes |
 * | `POST faults` | a list of faults replaces the script |
 * | `POST portal` | changes a portal: `{"stopped": true}` |
 * | `POST rename` | `{"host": "127.0.0.2"}` |
 * | `POST advance` | `{"ms": 1000}` moves the clock |
 */
export function control(
  controls: Controls,
  path: string,
  query: string,
  host: string,
  body: string,
): HttpAnswer {
  const asked = new URLSearchParams(query)
  const portal = asked.get('portal') ?? host
  try {
    switch (path) {
      case '/__sandbox/stats':
        return plainAnswer(controls.stats(portal, asked.get('log') === '1'))
      case '/__sandbox/faults':
        controls.fault(JSON.parse(body) as Fault[])
        return plainAnswer(true)
      case '/__sandbox/portal':
        controls.change(JSON.parse(body) as PortalChanges, portal)
        return plainAnswer(true)
      case '/__sandbox/rename':
        controls.rename(String((JSON.parse(body) as { host?: unknown }).host), portal)
        return plainAnswer(true)
      case '/__sandbox/advance':
        controls.advance(Number((JSON.parse(body) as { ms?: unknown }).ms))
        return plainAnswer(true)
      default:
        return htmlAnswer(404)
    }
  } catch {
    return plainAnswer({ error: 'BAD_BODY', error_description: 'The body must be JSON.' }, 400)
  }
}
