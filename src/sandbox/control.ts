import type { AppAction, AppOutcome } from './apps/actions.ts'
import type { EventRecord } from './apps/delivery-log.ts'
import type { OutgoingWebhookOptions } from './apps/outgoing-webhooks.ts'
import type { Trigger, TriggerOutcome } from './apps/triggers.ts'
import type { PortalWork } from './apps/work.ts'
import type { DataChange, DataChangeOutcome } from './data-changes.ts'
import type { Fault } from './faults.ts'
import type { Application, ApplicationOptions } from './oauth/applications.ts'
import type { OauthStats } from './oauth/tally.ts'
import type { PortalChanges } from './portal.ts'
import type { PushAction, PushOutcome, PushState } from './push/actions.ts'
import { type HttpAnswer, htmlAnswer, plainAnswer } from './respond.ts'
import type { SenderNodes } from './sender-nodes.ts'
import type { SandboxStats } from './stats.ts'

/** Who a portal is and where. */
export interface PortalIdentity {
  readonly memberId: string
  /** Host and port. */
  readonly domain: string
  readonly clientEndpoint: string
  readonly serverEndpoint: string
}

/** An outgoing webhook as its page shows it. */
export interface OutgoingWebhookCard {
  readonly id: number
  readonly url: string
  readonly events: readonly string[]
  /** Comes with each of its events, and with nothing else. */
  readonly applicationToken: string
}

/** What the control addresses can do; the sandbox itself. */
export interface Controls {
  stats(portal?: string, withLog?: boolean): SandboxStats
  oauthStats(): OauthStats
  identity(portal?: string): PortalIdentity
  fault(script: readonly Fault[]): void
  change(changes: PortalChanges, portal?: string): void
  changeData(change: DataChange, portal?: string): Promise<DataChangeOutcome>
  events(portal?: string): EventRecord[]
  addOutgoingWebhook(options: OutgoingWebhookOptions, portal?: string): OutgoingWebhookCard
  removeOutgoingWebhook(id: number, portal?: string): boolean
  setNodes(nodes: Partial<SenderNodes>): void
  rename(newHost: string, portal?: string): void
  advance(ms: number): void
  addApplication(options: ApplicationOptions): Application
  app(action: AppAction, portal?: string): Promise<AppOutcome>
  push(action: PushAction, portal?: string): PushOutcome
  pushState(portal?: string): PushState
  trigger(trigger: Trigger, portal?: string): Promise<TriggerOutcome>
  work(portal?: string): PortalWork
}

/**
 * The addresses under `/__sandbox/`, which cost nothing and are no part of a real portal. `portal` in the query
 * names a portal by host; without it the one that was asked.
 *
 * | request | does |
 * | --- | --- |
 * | `GET stats[?log=1]` | statistics, with the log of writes |
 * | `GET oauth` | statistics of the authorization server |
 * | `GET identity` | member id and addresses |
 * | `GET bx24.js` | the stand-in for the `BX24` library |
 * | `POST faults` | a list of faults replaces the script |
 * | `POST portal` | changes a portal: `{"stopped": true}` |
 * | `POST changes` | people and robots: `{"do": "change", "entity": "deal", "id": 7}` and the like |
 * | `GET events` | the latest requests to handlers, tokens masked |
 * | `POST webhooks` | an outgoing webhook: `{"url": "…", "events": ["ONCRMDEALADD"]}`, or `{"remove": 5}` |
 * | `POST nodes` | `{"app": ["127.0.0.1"], "world": []}`: the lists of addresses that events come from |
 * | `POST rename` | `{"host": "127.0.0.2"}` |
 * | `POST advance` | `{"ms": 1000}` moves the clock |
 * | `POST applications` | registers an application and answers with it, its secret included |
 * | `POST apps` | `{"do": "install", "clientId": "…"}` and the like |
 * | `GET push` | who listens to the push server, and who tried |
 * | `POST push` | `{"do": "send", "command": "…"}` and the like |
 * | `POST triggers` | `{"do": "robot", "clientId": "…", "code": "…"}` and the like |
 * | `GET work` | workflows, messages, and what applications have registered |
 */
export async function control(
  controls: Controls,
  path: string,
  query: string,
  host: string,
  body: string,
): Promise<HttpAnswer> {
  const asked = new URLSearchParams(query)
  const portal = asked.get('portal') ?? host
  try {
    switch (path) {
      case '/__sandbox/stats':
        return plainAnswer(controls.stats(portal, asked.get('log') === '1'))
      case '/__sandbox/oauth':
        return plainAnswer(controls.oauthStats())
      case '/__sandbox/identity':
        return plainAnswer(controls.identity(portal))
      case '/__sandbox/faults':
        controls.fault(JSON.parse(body) as Fault[])
        return plainAnswer(true)
      case '/__sandbox/portal':
        controls.change(JSON.parse(body) as PortalChanges, portal)
        return plainAnswer(true)
      case '/__sandbox/changes':
        return plainAnswer(await controls.changeData(JSON.parse(body) as DataChange, portal))
      case '/__sandbox/events':
        return plainAnswer(controls.events(portal))
      case '/__sandbox/webhooks':
        return plainAnswer(changeWebhooks(controls, JSON.parse(body), portal))
      case '/__sandbox/nodes':
        controls.setNodes(JSON.parse(body) as Partial<SenderNodes>)
        return plainAnswer(true)
      case '/__sandbox/rename':
        controls.rename(String((JSON.parse(body) as { host?: unknown }).host), portal)
        return plainAnswer(true)
      case '/__sandbox/advance':
        controls.advance(Number((JSON.parse(body) as { ms?: unknown }).ms))
        return plainAnswer(true)
      case '/__sandbox/applications':
        return plainAnswer(controls.addApplication(JSON.parse(body) as ApplicationOptions))
      case '/__sandbox/apps':
        return plainAnswer(await controls.app(JSON.parse(body) as AppAction, portal))
      case '/__sandbox/triggers':
        return plainAnswer(await controls.trigger(JSON.parse(body) as Trigger, portal))
      case '/__sandbox/work':
        return plainAnswer(controls.work(portal))
      case '/__sandbox/push':
        return plainAnswer(
          body === '' ? controls.pushState(portal) : controls.push(JSON.parse(body) as PushAction, portal),
        )
      default:
        return htmlAnswer(404)
    }
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError)
      return plainAnswer({ error: 'BAD_BODY', error_description: 'The body must be JSON.' }, 400)
    const text = error instanceof Error ? error.message : String(error)
    return plainAnswer({ error: 'NOT_POSSIBLE', error_description: text }, 400)
  }
}

function changeWebhooks(
  controls: Controls,
  wanted: OutgoingWebhookOptions & { readonly remove?: number },
  portal: string,
): OutgoingWebhookCard | boolean {
  if (wanted.remove !== undefined) return controls.removeOutgoingWebhook(wanted.remove, portal)
  return controls.addOutgoingWebhook(wanted, portal)
}
