import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { Agent, request } from 'undici'
import { TransportError } from '../model/errors.ts'
import { isPrivateAddress } from '../util/private-addresses.ts'
import { trusting } from './authorities.ts'

/** Posts to addresses that others have chosen. */
export interface CallbackSender {
  /**
   * The HTTP status of the answer; redirects are not followed. Rejects with a `TransportError`: `CALLBACK_REFUSED` for
   * an address of a private network, `CALLBACK_FAILED` when there was no answer in time.
   */
  post(url: URL, headers: Readonly<Record<string, string>>, body: string): Promise<number>
  /** Ends connections; what is under way is cut. Twice is harmless. */
  close(): Promise<void>
}

export interface CallbackSenderOptions {
  /** Hosts that may be in a private network; `*` for any. */
  readonly privateHosts: readonly string[]
  /** Milliseconds for a whole attempt; 15 s. */
  readonly timeoutMs?: number
  /** Certificates (PEM) to trust besides the system's. */
  readonly ca?: string
}

/** Of an answer only the status counts; so much of its body is read that the connection can be used again. */
const MOST_ANSWER_BYTES = 64 * 1024

/**
 * A sender that connects to public addresses only, however a name resolves at that moment: the address is looked at when
 * the connection is made, so that a name that changes its meaning gains nothing.
 */
export function createCallbackSender({
  privateHosts,
  timeoutMs = 15_000,
  ca,
}: CallbackSenderOptions): CallbackSender {
  const connect = { timeout: timeoutMs, ...trusting(ca) }
  const anywhere = new Agent({ connect })
  const outside = new Agent({ connect: { ...connect, lookup: publicLookup } })
  return {
    async post(url, headers, body) {
      const free = isPrivateHost(url, privateHosts)
      if (!free && refusesLiteral(url)) throw refused(url)
      try {
        const answer = await request(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'user-agent': 'bitrix24-bridge', ...headers },
          body,
          dispatcher: free ? anywhere : outside,
          signal: AbortSignal.timeout(timeoutMs),
        })
        await answer.body.dump({ limit: MOST_ANSWER_BYTES }).catch(() => {})
        return answer.statusCode
      } catch (error) {
        throw reasonOf(error) === PRIVATE ? refused(url) : failed(url, error)
      }
    },
    async close() {
      await Promise.all([anywhere.destroy(), outside.destroy()])
    },
  }
}

/** True when the operator allows this host to be in a private network. */
export function isPrivateHost({ hostname, host }: URL, privateHosts: readonly string[]): boolean {
  return privateHosts.some((one) => one === '*' || [hostname, host].includes(one.toLowerCase()))
}

/** True for an address written in digits that is not public; names are for the moment of connecting. */
export function refusesLiteral({ hostname }: URL): boolean {
  const bare = hostname.replace(/^\[|\]$/g, '')
  return isIP(bare) !== 0 && isPrivateAddress(bare)
}

const PRIVATE = 'EPRIVATE'

/** As `dns.lookup`, with an error for names that have any private address. */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  const all: LookupOptions & { all: true } = { ...options, all: true }
  lookup(hostname, all, (error, addresses: LookupAddress[]) => {
    if (error !== null) return callback(error, '', 0)
    if (addresses.length === 0 || addresses.some(({ address }) => isPrivateAddress(address)))
      return callback(Object.assign(new Error('a private address'), { code: PRIVATE }), '', 0)
    if (options.all === true) return callback(null, addresses)
    const { address, family } = addresses[0] as LookupAddress
    callback(null, address, family)
  })
}

function refused({ host }: URL): TransportError {
  return new TransportError('CALLBACK_REFUSED', `The callback address ${host} is in a private network`, {
    sent: false,
    hint: 'Name the host in BRIDGE_OUTBOX_PRIVATE_HOSTS, if it is yours.',
  })
}

function failed({ host }: URL, error: unknown): TransportError {
  return new TransportError(
    'CALLBACK_FAILED',
    `The callback address ${host} gave no answer (${reasonOf(error)})`,
    {
      sent: 'maybe',
    },
  )
}

/** The system's own word for what went wrong; never an address with its query. */
function reasonOf(error: unknown): string {
  let at: unknown = error
  for (let depth = 0; depth < 5 && at instanceof Error; depth++) {
    if (at instanceof AggregateError && at.errors.length > 0) at = at.errors[0]
    if (at instanceof Error && at.name === 'TimeoutError') return 'timed out'
    const { code, cause } = at as { code?: unknown; cause?: unknown }
    if (typeof code === 'string') return code
    at = cause
  }
  return 'unknown reason'
}
