import type { IncomingMessage, ServerResponse } from 'node:http'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { Connection } from './connection.ts'
import { PollingConnection, refusePolling } from './polling.ts'
import type { PortalPush } from './portal-push.ts'
import {
  type Refusal,
  readSubscription,
  refusalText,
  type Subscription,
  WRONG_CHANNEL,
} from './subscription.ts'
import { SocketConnection } from './websocket.ts'

/** Where clients listen by long polling and by WebSocket; the first takes WebSockets too, as on premise. */
export const POLLING_PATH = '/sub/'
export const SOCKET_PATH = '/subws/'

const MAX_PAYLOAD = 1024 * 1024

const upgrades = new WebSocketServer({
  noServer: true,
  clientTracking: false,
  maxPayload: MAX_PAYLOAD,
  perMessageDeflate: false,
})

/** A request to become a WebSocket, with what was read behind it. */
export interface Upgrade {
  readonly request: IncomingMessage
  readonly socket: Duplex
  readonly head: Buffer
}

/** Takes in a long-polling request, or refuses it. */
export function connectPolling(push: PortalPush, query: string, response: ServerResponse): void {
  const status = push.record.takeRefusal()
  if (status !== undefined) {
    note(push, 'polling', 'refused')
    if (status > 0) response.writeHead(status).end()
    else if (response.socket !== null) reset(response.socket)
    return
  }
  const wanted = readSubscription(new URLSearchParams(query), push, push.now())
  if ('code' in wanted) {
    note(push, 'polling', refusalText(wanted))
    refusePolling(response, wanted)
    return
  }
  const { mid = '', channels } = wanted
  const lastMid = () => (mid === '' ? push.history.newest(channels, push.now()) : mid)
  const connection = new PollingConnection(response, wanted, { ms: push.habits.pushHoldMs, lastMid })
  response.once('close', () => push.connections.remove(connection))
  admit(push, connection)
}

/** Takes in a WebSocket, or refuses it: before it is opened, or by closing it at once. */
export function connectSocket(push: PortalPush, upgrade: Upgrade): void {
  const status = push.record.takeRefusal()
  if (status !== undefined) {
    note(push, 'websocket', 'refused')
    if (status === 0) reset(upgrade.socket)
    else refuseUpgrade(upgrade.socket, status, '')
    return
  }
  const target = upgrade.request.url ?? ''
  const query = new URLSearchParams(target.includes('?') ? target.slice(target.indexOf('?') + 1) : '')
  const wanted = readSubscription(query, push, push.now())
  if (!('code' in wanted)) {
    openSocket(push, upgrade, wanted)
    return
  }
  note(push, 'websocket', refusalText(wanted))
  if (wanted === WRONG_CHANNEL && push.habits.pushRefusal === 'close') closeAtOnce(upgrade, wanted)
  else refuseUpgrade(upgrade.socket, 400, refusalText(wanted))
}

/** Answers an upgrade with a status instead. */
export function refuseUpgrade(socket: Duplex, status: number, body: string): void {
  socket.on('error', () => socket.destroy())
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nConnection: close\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

function openSocket(push: PortalPush, { request, socket, head }: Upgrade, wanted: Subscription): void {
  upgrades.handleUpgrade(request, socket, head, (opened) => {
    const connection = new SocketConnection(opened, wanted, push.habits)
    opened.once('close', () => push.connections.remove(connection))
    admit(push, connection)
  })
}

function closeAtOnce({ request, socket, head }: Upgrade, refusal: Refusal): void {
  upgrades.handleUpgrade(request, socket, head, (opened) => {
    opened.on('error', () => opened.terminate())
    opened.close(refusal.code, refusalText(refusal))
  })
}

function admit(push: PortalPush, connection: Connection): void {
  const { card } = connection
  push.record.connected({ atMs: push.now(), transport: card.transport, outcome: 'open', asked: card })
  push.admit(connection)
}

function note(push: PortalPush, transport: 'websocket' | 'polling', outcome: string): void {
  push.record.connected({ atMs: push.now(), transport, outcome })
}

function reset(socket: Duplex): void {
  const plain = socket as Socket
  if ('encrypted' in socket || typeof plain.resetAndDestroy !== 'function') socket.destroy()
  else plain.resetAndDestroy()
}
