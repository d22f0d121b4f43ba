import { once } from 'node:events'
import { afterEach } from 'vitest'
import { WebSocket } from 'ws'
import type { Sandbox, SandboxOptions } from '../../src/sandbox/index.ts'
import { open } from './ask.ts'
import { callWith } from './oauth-client.ts'

/** The client id of the application that every portal has. */
export const OWN = 'local.sandbox'

/** A listener at a WebSocket, which keeps what comes. */
export interface Listener {
  readonly socket: WebSocket
  /** The next frame, waited for. */
  next(): Promise<string | Buffer>
  /** Frames that have come and were not taken. */
  readonly frames: (string | Buffer)[]
  /** How the connection ended, waited for. */
  closed(): Promise<{ readonly code: number; readonly reason: string }>
}

/** What `pull.application.config.get` tells the application that every portal has. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into the answer
export async function askConfig(sandbox: Sandbox, token = sandbox.accessToken): Promise<any> {
  const { body } = await callWith(sandbox, token, 'pull.application.config.get')
  return body.result
}

/** The address to listen at for both channels. */
// biome-ignore lint/suspicious/noExplicitAny: as told by the portal
export function addressOf(config: any, more: Record<string, string> = {}, kind = 'websocket'): string {
  const url = new URL(config.server[kind])
  const { private: own, shared } = config.channels
  url.search = String(new URLSearchParams({ CHANNEL_ID: `${own.id}/${shared.id}`, ...more }))
  return url.href
}

const sockets: WebSocket[] = []

/** Listens at an address; resolves when the connection is open. */
export async function listen(
  address: string,
  options: { ca?: string; autoPong?: boolean } = {},
): Promise<Listener> {
  const socket = new WebSocket(address, options)
  sockets.push(socket)
  const frames: (string | Buffer)[] = []
  const waiting: ((frame: string | Buffer) => void)[] = []
  socket.on('message', (data: Buffer, isBinary) => {
    const frame = isBinary ? data : data.toString()
    const taker = waiting.shift()
    if (taker === undefined) frames.push(frame)
    else taker(frame)
  })
  const end = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }))
  })
  await once(socket, 'open')
  const next = () => {
    const frame = frames.shift()
    return frame === undefined
      ? new Promise<string | Buffer>((resolve) => waiting.push(resolve))
      : Promise.resolve(frame)
  }
  return { socket, frames, next, closed: () => end }
}

/** The status and the body with which an upgrade is refused; status 0 is a connection that broke. */
export function refusalOf(address: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(address)
    socket.once('unexpected-response', async (_request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk as Buffer)
      resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() })
    })
    socket.once('open', () => {
      socket.terminate()
      reject(new Error('the connection was opened'))
    })
    socket.on('error', () => resolve({ status: 0, body: '' }))
  })
}

/** The messages of a text frame. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into messages of any shape
export function messagesIn(frame: string | Buffer): any[] {
  return [...String(frame).matchAll(/#!NGINXNMS!#(.*?)#!NGINXNME!#/g)].map(([, json]) =>
    JSON.parse(json ?? ''),
  )
}

/** The `command` of each message of a text frame. */
export function commandsIn(frame: string | Buffer): string[] {
  return messagesIn(frame).map(({ text }) => text.command)
}

/** A sandbox whose clock moves by `advance` only, and what its application is told. */
export async function openPush(options: SandboxOptions = {}) {
  const ms = Date.UTC(2026, 5, 1, 12, 0, 0, 672)
  const sandbox = await open({ now: () => ms, ...options })
  const config = await askConfig(sandbox)
  return { sandbox, config, address: addressOf(config) }
}

/** Publishes on the shared channel of the application that every portal has. */
export function say(
  sandbox: Sandbox,
  command: string,
  more: { expiry?: number; userId?: number } = {},
): string {
  return sandbox.push({ do: 'send', command, ...more }).mid ?? ''
}

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.terminate()
})
