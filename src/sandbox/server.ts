import { act } from './apps/actions.ts'
import { FrameSessions } from './apps/frame.ts'
import { EventSender } from './apps/sender.ts'
import { pullTrigger } from './apps/triggers.ts'
import { makeCertificate } from './certificate.ts'
import type { Controls } from './control.ts'
import { ACCESS_TOKEN, WEBHOOK_SECRET } from './credentials.ts'
import { changeData } from './data-changes.ts'
import { FaultScript } from './faults.ts'
import { openListener } from './listener.ts'
import { Authority } from './oauth/authority.ts'
import { type SandboxOptions, settingsFrom } from './options.ts'
import { homeOf, Portals } from './portals.ts'
import { actPush, pushState } from './push/actions.ts'
import { type Parts, routeAuthority, routePortal, routeUpgrade } from './route.ts'
import { NodeLists } from './sender-nodes.ts'

/** A running sandbox. Where a method takes a portal, it is a host name; without one it is the sandbox's own. */
export interface Sandbox extends Controls {
  /** `http://127.0.0.1:PORT`, or https. */
  readonly url: string
  /** `${url}/rest/1/s3cr3t/`: a webhook of user 1 with all scopes. */
  readonly webhookUrl: string
  /** A token of the application that every portal has, which never runs out by itself; goes into `auth`. */
  readonly accessToken: string
  /** The authorization server, `${oauthUrl}/oauth/token/`; the same as `url` unless it has a port of its own. */
  readonly oauthUrl: string
  /** With `tls`: the PEM that clients must trust. */
  readonly certificate?: string
  /** Cuts all connections and ends. Twice is harmless. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts Bitrix24 portals and their authorization server on this machine. Rejects when a port is taken. */
export async function createSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const settings = settingsFrom(options)
  const clock = options.now ?? Date.now
  let advancedMs = 0
  const now = () => clock() + advancedMs
  const { host, oauthPort } = settings
  const pair = settings.tls ? makeCertificate(certificateNames(host)) : undefined
  const listener = await openListener(settings, pair)
  const oauthListener =
    oauthPort === undefined
      ? undefined
      : await openListener({ port: oauthPort, host }, pair).catch(async (error: unknown) => {
          await listener.close()
          throw error
        })
  const addressOf = (port: number) => `${settings.tls ? 'https' : 'http'}://${homeOf(host)}:${port}`
  const url = addressOf(listener.port)
  const oauthUrl = addressOf((oauthListener ?? listener).port)
  const authority = new Authority(settings, now, { url: oauthUrl, shared: oauthListener === undefined })
  const nodes = new NodeLists()
  const clocks = { now, elapsedMs: () => performance.now() }
  const sender = new EventSender(settings.switches, clocks, () => nodes.from)
  const portals = new Portals(settings, now, { authority, sender }, url)
  const faults = new FaultScript()
  const pages = { authority, sender, frames: new FrameSessions() }
  const controls: Controls = {
    stats: (portal, withLog = false) => portals.find(portal).stats(faults.acted, withLog),
    oauthStats: () => authority.stats(),
    identity: (name) => {
      const { memberId, domain, restUrl } = portals.find(name)
      return { memberId, domain, clientEndpoint: restUrl, serverEndpoint: authority.restUrl }
    },
    fault: (script) => faults.load(script),
    change: (changes, portal) => portals.find(portal).change(changes),
    changeData: (change, portal) => changeData(portals.find(portal), change),
    events: (portal) => sender.log.list(portals.find(portal).memberId),
    addOutgoingWebhook: (options, portal) => {
      const { events, ...webhook } = portals.find(portal).events.addWebhook(options)
      return { ...webhook, events: [...events] }
    },
    removeOutgoingWebhook: (id, portal) => portals.find(portal).events.removeWebhook(id),
    setNodes: (lists) => nodes.set(lists),
    rename: (newHost, portal) => portals.rename(newHost, portal),
    advance: (ms) => {
      advancedMs += ms
    },
    addApplication: (application) => authority.applications.add(application),
    app: (action, portal) => act(pages, portals.find(portal), action),
    push: (action, portal) => actPush(portals.find(portal).push, action),
    pushState: (portal) => pushState(portals.find(portal).push),
    trigger: (trigger, portal) => pullTrigger(pages, portals.find(portal), trigger),
    work: (portal) => portals.find(portal).work(),
  }
  const parts: Parts = { ...pages, portals, faults, nodes, controls }
  listener.serve((incoming) => routePortal(parts, incoming))
  listener.serveUpgrades((request, socket, head) => routeUpgrade(parts, { request, socket, head }))
  oauthListener?.serve((incoming) => routeAuthority(parts, incoming))
  let closed: Promise<void> | undefined
  const close = () => {
    sender.close()
    closed ??= Promise.all([listener.close(), oauthListener?.close()]).then(() => undefined)
    return closed
  }
  return {
    url,
    webhookUrl: `${url}/rest/1/${WEBHOOK_SECRET}/`,
    accessToken: ACCESS_TOKEN,
    oauthUrl,
    ...(pair === undefined ? {} : { certificate: pair.cert }),
    ...controls,
    close,
    [Symbol.asyncDispose]: close,
  }
}

function certificateNames(host: string): string[] {
  const loopback = Array.from({ length: 9 }, (_, index) => `127.0.0.${index + 1}`)
  return [...new Set(['localhost', '*.localhost', ...loopback, homeOf(host)])]
}
