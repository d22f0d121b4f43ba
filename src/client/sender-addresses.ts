import { isIP } from 'node:net'
import { Agent, request } from 'undici'
import { TransportError } from '../model/errors.ts'
import { isJsonObject } from '../model/json.ts'
import { trusting } from './authorities.ts'

export interface SenderAddressesOptions {
  /** An additional certificate authority, as PEM. */
  readonly ca?: string
  /** 10,000. */
  readonly timeoutMs?: number
}

const MOST_BYTES = 1024 * 1024

/**
 * The addresses of a published list of those that send events: `{"nodes":["192.0.2.1", …]}`. Rejects with a
 * `TransportError` for anything else, an empty list too: nothing follows from it.
 *
 * https://apidocs.bitrix24.com/settings/cloud-and-on-premise/network-access.html
 */
export async function fetchSenderAddresses(
  url: string,
  { ca, timeoutMs = 10_000 }: SenderAddressesOptions = {},
): Promise<string[]> {
  const agent = new Agent({ connect: trusting(ca), maxResponseSize: MOST_BYTES })
  try {
    const signal = AbortSignal.timeout(timeoutMs)
    const answer = await request(url, { dispatcher: agent, signal, headers: { accept: 'application/json' } })
    const body: unknown = await answer.body.json()
    const nodes: unknown = isJsonObject(body) ? body.nodes : undefined
    const all: readonly unknown[] = Array.isArray(nodes) ? nodes : []
    const valid = all.every((node) => typeof node === 'string' && isIP(node) !== 0)
    if (answer.statusCode === 200 && all.length > 0 && valid) return all as string[]
    throw new Error(`it answered ${answer.statusCode} without a list`)
  } catch (error) {
    throw new TransportError(
      'LIST_UNAVAILABLE',
      `The list of senders at ${new URL(url).host} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      { sent: 'maybe', cause: error },
    )
  } finally {
    await agent.close()
  }
}
