import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

const agent = new Agent({ keepAlive: true, maxSockets: 1 })

/** One call over a connection that stays open, as a careful program would make it. Resolves when its body is read. */
export function post(url: string, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve(Buffer.concat(chunks).toString()))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** Makes `count` calls one after another, beginning one every `paceMs` at most, and gives the seconds that they took. */
export async function postSerially(webhook: string, count: number, paceMs: number): Promise<number> {
  const startedAt = performance.now()
  for (let i = 0; i < count; i++) {
    const early = startedAt + i * paceMs - performance.now()
    if (early > 0) await sleep(early)
    const answer = await post(`${webhook}crm.deal.get`, JSON.stringify({ id: i + 1 }))
    if (!answer.startsWith('{"result"')) throw new Error(`The portal refused: ${answer.slice(0, 200)}`)
  }
  return (performance.now() - startedAt) / 1000
}
