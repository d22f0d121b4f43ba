import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import pino from 'pino'
import { expect, it, onTestFinished } from 'vitest'
import { readConfig } from '../../src/config/read.ts'
import { startService } from '../../src/service.ts'

const WORD = 'a-word-that-nobody-knows'

it('calls an isolated portal with parameters of its own instead of a webhook, and shows them nowhere', async () => {
  // A portal behind a gate of its own: it asks for a secret word in every request and knows one method.
  const portal = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { secret_word, ...params } = JSON.parse(Buffer.concat(chunks).toString())
    const known = request.url === '/rest/erp.echo' && secret_word === WORD
    response.writeHead(known ? 200 : 401, { 'content-type': 'application/json' })
    response.end(
      JSON.stringify(known ? { result: params } : { error: 'NO_AUTH_FOUND', error_description: '' }),
    )
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void portal.close())
  await new Promise((resolve) => portal.once('listening', resolve))
  const { port } = portal.address() as AddressInfo
  const env = {
    BRIDGE_REST: `http://127.0.0.1:${port}/rest/`,
    BRIDGE_PORTAL_PARAMETERS: `secret_word=${WORD}`,
    BRIDGE_LIMITS: 'off',
    BRIDGE_BROKER: 'embedded',
    BRIDGE_STORE: 'sqlite::memory:',
    BRIDGE_HTTP: '127.0.0.1:0',
  }
  const logs: string[] = []
  const logger = pino({ base: null }, { write: (line: string) => void logs.push(line) })
  const service = await startService(readConfig({ env, cwd: tmpdir() }), { logger })
  onTestFinished(() => void service.stop())
  const answer = await fetch(`${service.url}/v1/commands`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ method: 'erp.echo', params: { question: 42 } }),
  })
  const text = await answer.text()
  expect(JSON.parse(text)).toMatchObject({ outcome: 'done', result: { question: 42 } })
  await service.stop()
  for (const said of [text, ...logs]) expect(said).not.toContain(WORD)
})

it('says what is missing when there are parameters and no address', () => {
  const env = { BRIDGE_PORTAL_PARAMETERS: 'secret_word=x' }
  expect(() => readConfig({ env, cwd: tmpdir() })).toThrow('BRIDGE_PORTAL_PARAMETERS needs BRIDGE_REST')
})
