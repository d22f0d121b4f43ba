import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { type RefusalCode, refusal } from './problems.ts'

/** What is known of who asks. */
export interface Asker {
  /** Address of the other end of the socket. */
  readonly address: string | undefined
  readonly headers: IncomingHttpHeaders
}

/** Who may send commands: whoever has the token, or, without one, programs on this machine. */
export type CommandAccess = 'token' | 'this-machine'

/**
 * Checks who may send commands, and gives a function that throws `TOKEN_MISSING`, `TOKEN_WRONG` or `LOCAL_ONLY`.
 *
 * With a token everybody needs it, this machine too. Without one the socket must come from this machine, and the
 * request must be neither from a web page (`Origin`, a foreign `Host`: a page that a browser shows could otherwise
 * reach us) nor forwarded by a proxy, which would make the whole network look local.
 */
export function createCommandGuard(token: string | undefined): (asker: Asker) => void {
  if (token === undefined) return requireLocal
  const wanted = digest(token)
  return ({ headers }) => {
    const given = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1]
    if (given === undefined) throw refusal('TOKEN_MISSING')
    if (!timingSafeEqual(digest(given), wanted)) throw refusal('TOKEN_WRONG')
  }
}

/** True when a `Host` header names one of the hosts: `*`, a name, a name with port, `.example.com` or `*.example.com`. */
export function isAllowedHost(header: string | undefined, hosts: readonly string[]): boolean {
  if (hosts.includes('*')) return true
  if (header === undefined) return false
  const full = header.toLowerCase()
  const name = hostName(full)
  return hosts.some((one) => {
    const wanted = one.toLowerCase()
    if (wanted === full || wanted === name) return true
    if (wanted.startsWith('*.')) return name.endsWith(wanted.slice(1))
    return wanted.startsWith('.') && (name.endsWith(wanted) || name === wanted.slice(1))
  })
}

/** True when a page of this `Origin` may read answers: the whole origin or its host is among the hosts. */
export function isAllowedOrigin(origin: string, hosts: readonly string[]): boolean {
  if (hosts.includes('*') || hosts.includes(origin)) return true
  return URL.canParse(origin) && isAllowedHost(new URL(origin).host, hosts)
}

/** Codes that mean somebody was turned away; they are logged. */
export const TURNED_AWAY: ReadonlySet<string> = new Set<RefusalCode>([
  'TOKEN_MISSING',
  'TOKEN_WRONG',
  'LOCAL_ONLY',
  'HOST_NOT_ALLOWED',
])

function requireLocal({ address, headers }: Asker): void {
  const forwarded = FORWARDED.some((name) => headers[name] !== undefined)
  const local = isLoopback(address) && isLoopbackName(headers.host) && headers.origin === undefined
  if (!local || forwarded) throw refusal('LOCAL_ONLY')
}

const FORWARDED = ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip']

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(?:::ffff:)?127\.|^::1$/.test(address)
}

function isLoopbackName(header: string | undefined): boolean {
  return (
    header !== undefined && /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(hostName(header.toLowerCase()))
  )
}

function hostName(host: string): string {
  return host.replace(/:\d*$/, '')
}

/** Digests have one length, so that the comparison takes as long for any token. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
