import type { IncomingMessage } from 'node:http'
import WebSocket from 'ws'
import { trusting } from '../authorities.ts'

/** What is heard on a socket; nothing after `closed`. */
export interface SocketEvents {
  opened(): void
  /** A ping or a pong. */
  alive(): void
  frame(data: string | Buffer): void
  /** `text`: the reason of the close, or the beginning of the page with which it was refused. */
  closed(code: number, text: string): void
}

/** A connection by WebSocket. */
export interface PushSocket {
  send(text: string): void
  ping(): void
  /** Says good-bye where somebody may hear it, and is gone a second later in any case. */
  close(code: number): void
}

/** All that a server has kept for a day may come in one frame. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024
const MAX_REFUSAL_BYTES = 500
const GOODBYE_MS = 1000
/** The code of a connection that ended without a close. */
const ABNORMAL = 1006

/** Begins a connection. Never throws; an address that cannot be used is closed at once. */
export function openSocket(
  address: string,
  events: SocketEvents,
  { ca, userAgent }: { readonly ca?: string | undefined; readonly userAgent: string },
): PushSocket {
  let over = false
  const end = (code: number, text: string): void => {
    if (over) return
    over = true
    events.closed(code, text)
  }
  const socket = new WebSocket(address, {
    perMessageDeflate: false,
    followRedirects: false,
    maxPayload: MAX_FRAME_BYTES,
    headers: { 'user-agent': userAgent },
    ...trusting(ca),
  })
  socket.on('open', () => {
    if (!over) events.opened()
  })
  socket.on('message', (data: Buffer, isBinary) => {
    if (!over) events.frame(isBinary ? data : data.toString())
  })
  for (const sign of ['ping', 'pong'] as const)
    socket.on(sign, () => {
      if (!over) events.alive()
    })
  socket.on('unexpected-response', (request, response: IncomingMessage) => {
    let text = ''
    const refused = (): void => {
      request.destroy()
      end(ABNORMAL, text)
    }
    response.setEncoding('latin1')
    response.on('data', (part: string) => {
      text = (text + part).slice(0, MAX_REFUSAL_BYTES)
    })
    response.on('end', refused).on('error', refused).on('close', refused)
  })
  // The error itself may name the address, which is a secret; that the socket failed is all there is to know.
  socket.on('error', () => end(ABNORMAL, ''))
  socket.on('close', (code, reason) => end(code, reason.toString()))
  return {
    send: (text) => socket.send(text, () => undefined),
    ping: () => socket.ping(undefined, undefined, () => undefined),
    close(code) {
      over = true
      if (socket.readyState !== WebSocket.OPEN) return socket.terminate()
      socket.close(code)
      setTimeout(() => socket.terminate(), GOODBYE_MS).unref()
    },
  }
}
