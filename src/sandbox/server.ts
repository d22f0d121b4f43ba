import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type KeyAndCertificate, makeCertificate } from './certificate.ts'
import { type Controls, control } from './control.ts'
import { ACCESS_TOKEN, WEBHOOK_SECRET } from './credentials.ts'
import { type Fault, FaultScript } from './faults.ts'
import { type Ending, handle } from './handle.ts'
import { type SandboxOptions, type Settings, settingsFrom } from './options.ts'
import type { PortalChanges } from './portal.ts'
import { homeOf, Portals } from './portals.ts'
import { type HttpAnswer, htmlAnswer, plainAnswer } from './respond.ts'
import type { SandboxStats } from './stats.ts'

/** A running sandbox. Where a method takes a portal, it is a host name; without one it is the sandbox's own. */
export interface Sandbox {
  /** `http://127.0.0.1:PORT`, or https. */
  readonly url: string
  /** `${url}/rest/1/s3cr3t/`: a webhook of user 1 with all scopes. */
  readonly webhookUrl: string
  /** A token of the portal's one application, which never runs out by itself; goes into `auth`. */
  readonly accessToken: string
  /** With `tls`: the PEM that clients must trust. */
  readonly certificate?: string
  stats(portal?: string, withLog?: boolean): SandboxStats
  /** Replaces the fault script, for all portals; an empty list ends it. */
  fault(script: readonly Fault[]): void
  /** Moves the clock forward; limits drain, operating time runs out. */
  advance(ms: number): void
  /** Stops a portal, changes its plan, blocks credentials, narrows scopes. */
  change(changes: PortalChanges, portal?: string): void
  /** Gives a portal another host name; the old one answers 302 from now on. Without a port it keeps its port. */
  rename(newHost: string, portal?: string): void
  /** Cuts all connections and ends. Twice is harmless. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts a Bitrix24 portal on this machine. Rejects when the port is taken. */
export async function createSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const settings = settingsFrom(options)
  const clock = options.now ?? Date.now
  let advancedMs = 0
  const portals = new Portals(settings, () => clock() + advancedMs)
  const faults = new FaultScript()
  const controls: Controls = {
    stats: (portal, withLog = false) => portals.find(portal).stats(faults.acted, withLog),
    fault: (script) => faults.load(script),
    change: (changes, portal) => portals.find(portal).change(changes),
    rename: (newHost, portal) => portals.rename(newHost, portal),
    advance: (ms) => {
      advancedMs += ms
    },
  }
  const pair = settings.tls ? makeCertificate(certificateNames(settings.host)) : undefined
  const server = listenerOf(pair, (request, response) => {
    receive(request, (body) => serve({ portals, faults, controls, request, response, body }))
  })
  await listen(server, settings)
  const { port } = server.address() as AddressInfo
  const url = `${settings.tls ? 'https' : 'http'}://${homeOf(settings.host)}:${port}`
  let closed: Promise<void> | undefined
  const close = () => {
    closed ??= new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
    return closed
  }
  return {
    url,
    webhookUrl: `${url}/rest/1/${WEBHOOK_SECRET}/`,
    accessToken: ACCESS_TOKEN,
    ...(pair === undefined ? {} : { certificate: pair.cert }),
    ...controls,
    close,
    [Symbol.asyncDispose]: close,
  }
}

interface Work {
  readonly portals: Portals
  readonly faults: FaultScript
  readonly controls: Controls
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly body: Buffer
}

/** A mistake of ours is shown as the portal would show one of its own, and told on the console. */
function serve(work: Work): void {
  try {
    route(work)
  } catch (error) {
    console.error(error)
    write(
      work.response,
      plainAnswer({ error: 'INTERNAL_SERVER_ERROR', error_description: 'Internal server error' }, 500),
    )
  }
}

function route(work: Work): void {
  const { portals, request, response, body } = work
  const target = request.url ?? '/'
  const mark = target.indexOf('?')
  const path = (mark < 0 ? target : target.slice(0, mark)).replace(/\/{2,}/g, '/')
  const query = mark < 0 ? '' : target.slice(mark + 1)
  const host = request.headers.host ?? ''
  if (path.startsWith('/__sandbox/')) {
    write(response, control(work.controls, path, query, host, body.toString()))
    return
  }
  const destination = portals.at(host)
  const secure = 'encrypted' in request.socket
  if ('movedTo' in destination) {
    write(response, htmlAnswer(302, movedLocation(destination.movedTo, host, secure, target)))
    return
  }
  const ending = handle(destination.portal, work.faults, {
    path,
    query,
    contentType: request.headers['content-type'] ?? '',
    authorization: request.headers.authorization ?? '',
    body,
    source: forwardedFor(request) ?? request.socket.remoteAddress ?? '',
    secure,
  })
  finish(request, response, ending)
}

/** https://apidocs.bitrix24.com/settings/how-to-call-rest-api/change-domen.html */
function movedLocation(movedTo: string, host: string, secure: boolean, target: string): string {
  const port = /:\d+$/.exec(host)?.[0] ?? ''
  const newHost = /:\d+$/.test(movedTo) ? movedTo : `${movedTo}${port}`
  return `${secure ? 'https' : 'http'}://${newHost}${target}`
}

function forwardedFor(request: IncomingMessage): string | undefined {
  const header = request.headers['x-forwarded-for']
  return header === undefined ? undefined : String(header).split(',', 1)[0]?.trim()
}

function finish(request: IncomingMessage, response: ServerResponse, ending: Ending): void {
  if (ending.kind === 'hang') return
  if (ending.kind === 'reset') {
    if ('encrypted' in request.socket) request.socket.destroy()
    else request.socket.resetAndDestroy()
    return
  }
  if (ending.delayMs <= 0) {
    write(response, ending.answer)
    return
  }
  const timer = setTimeout(() => write(response, ending.answer), ending.delayMs)
  response.once('close', () => clearTimeout(timer))
}

/** No header tells of the limits; real portals have none either. */
function write(response: ServerResponse, answer: HttpAnswer): void {
  const body = Buffer.from(answer.text)
  response.writeHead(answer.status, {
    'Content-Type': answer.contentType,
    'Content-Length': body.length,
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Allow-Headers': 'origin, content-type, accept',
    'X-Content-Type-Options': 'nosniff',
    ...(answer.location === undefined ? {} : { Location: answer.location }),
  })
  response.end(body)
}

function receive(request: IncomingMessage, done: (body: Buffer) => void): void {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => done(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)))
  request.on('error', () => request.destroy())
}

function listenerOf(
  pair: KeyAndCertificate | undefined,
  listener: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const server = pair === undefined ? createServer(listener) : createSecureServer(pair, listener)
  server.keepAliveTimeout = 75_000
  server.requestTimeout = 0
  return server as Server
}

function listen(server: Server, settings: Settings): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    const host = settings.host === 'localhost' ? '127.0.0.1' : settings.host
    server.listen({ port: settings.port, host, backlog: 1024 }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function certificateNames(host: string): string[] {
  const loopback = Array.from({ length: 9 }, (_, index) => `127.0.0.${index + 1}`)
  return [...new Set(['localhost', '*.localhost', ...loopback, homeOf(host)])]
}
