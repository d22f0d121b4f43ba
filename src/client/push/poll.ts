import { Agent, type Dispatcher, request } from 'undici'
import { trusting } from '../authorities.ts'

/** How a poll ended: the answer, or status 0 when there was none. */
export interface PollAnswer {
  readonly status: number
  readonly body: string | Buffer
  readonly lastMessageId?: string
}

/** Asks push servers that hold a request until there is something to say. */
export interface Poller {
  /** Never rejects; an aborted poll has no answer. */
  poll(address: string, signal: AbortSignal): Promise<PollAnswer>
  /** Ends connections; polls under way are cut. */
  close(): Promise<void>
}

/** All that a server has kept for a day may come at once. */
const MAX_BODY_BYTES = 64 * 1024 * 1024
const NO_ANSWER: PollAnswer = { status: 0, body: '' }

/** A poller with connections of its own, one for each poll under way. Who polls says how long: nothing ends by itself here. */
export function createPoller({
  ca,
  userAgent,
}: {
  readonly ca?: string | undefined
  readonly userAgent: string
}): Poller {
  const agent = new Agent({ pipelining: 1, headersTimeout: 0, bodyTimeout: 0, connect: trusting(ca) })
  return {
    async poll(address, signal) {
      try {
        const headers = { 'user-agent': userAgent }
        return await read(await request(address, { dispatcher: agent, signal, headers }))
      } catch {
        return NO_ANSWER
      }
    },
    close: () => agent.destroy(),
  }
}

async function read({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<PollAnswer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) return NO_ANSWER
    chunks.push(chunk)
  }
  const whole = Buffer.concat(chunks)
  const binary = String(headers['content-type'] ?? '').startsWith('application/octet-stream')
  const id = headers['last-message-id']
  return {
    status: statusCode,
    body: binary ? whole : whole.toString(),
    ...(typeof id === 'string' ? { lastMessageId: id } : {}),
  }
}
