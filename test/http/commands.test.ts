import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import { ask, post, running } from './running.ts'

const DEAL = { method: 'crm.deal.get', params: { id: 7 } }
const SLOW = { method: 'slow.get' }

async function until(condition: () => boolean): Promise<void> {
  // Polls, because the far end of a socket has no other way to tell us.
  for (let i = 0; i < 200 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 10))
  expect(condition()).toBe(true)
}

it('answers a command with the native reply', async () => {
  const answer = await post(await running(), { ...DEAL, meta: { order: 5 } })
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
  expect(answer.headers.get('x-b24-outcome')).toBe('done')
  expect(answer.json).toMatchObject({
    portal: 'example.bitrix24.com',
    outcome: 'done',
    result: { ID: '7' },
    meta: { order: 5 },
  })
})

it('answers 200 to a command that the portal refused: the outcome says so', async () => {
  const answer = await post(await running(), { method: 'crm.nothing.add' })
  expect(answer.status).toBe(200)
  expect(answer.json).toMatchObject({
    outcome: 'failed',
    status_code: 404,
    error: { code: 'ERROR_METHOD_NOT_FOUND' },
  })
})

it('refuses a body that is not JSON, and says so in words', async () => {
  const answer = await post(await running(), "{'method': 'crm.deal.get'}")
  expect(answer.status).toBe(400)
  expect(answer.json.error).toBe('BODY_NOT_JSON')
  expect(answer.json.error_description).toContain('not JSON')
  expect(answer.json.hint).toContain('single quotes')
})

it('refuses an empty body', async () => {
  expect((await post(await running(), '')).json).toMatchObject({ error: 'BODY_NOT_JSON' })
})

it('refuses a misspelt key with the parser of the native contract', async () => {
  const answer = await post(await running(), { metod: 'crm.deal.get' })
  expect(answer.status).toBe(400)
  expect(answer.json).toMatchObject({ error: 'KEY_UNKNOWN', hint: expect.stringContaining('"method"') })
})

it('refuses a body above the bound without reading it whole', async () => {
  const server = await running({ maxBodyBytes: 1000 })
  const answer = await post(server, { method: 'crm.deal.add', params: { TITLE: 'x'.repeat(2000) } })
  expect(answer.status).toBe(413)
  expect(answer.json.error).toBe('BODY_TOO_LARGE')
})

it('refuses other media types and compressed bodies', async () => {
  const server = await running()
  const form = await post(server, 'method=crm.deal.get', { 'content-type': 'text/plain' })
  const gzip = await post(server, DEAL, { 'content-encoding': 'gzip' })
  expect([form.status, gzip.status]).toEqual([415, 415])
  expect(form.json.error).toBe('MEDIA_TYPE_UNSUPPORTED')
})

it('queues a command and gives its reply later', async () => {
  const server = await running()
  const id = randomUUID()
  const answer = await post(server, DEAL, { prefer: 'respond-async', 'idempotency-key': id })
  expect(answer.status).toBe(202)
  expect(answer.headers.get('preference-applied')).toBe('respond-async')
  expect(answer.headers.get('location')).toBe(`/v1/commands/${id}`)
  expect(answer.json).toEqual({ id, state: 'pending', status: `/v1/commands/${id}` })
  const early = await ask(server.url + answer.json.status)
  expect([early.status, early.json.state]).toEqual([202, 'pending'])
  server.door.work()
  const late = await ask(server.url + answer.json.status)
  expect([late.status, late.json.outcome]).toEqual([200, 'done'])
})

it('understands ?async=1 and makes up an id', async () => {
  const server = await running()
  const answer = await post(server, DEAL, {}, { query: '?async=1' })
  expect(answer.status).toBe(202)
  expect(answer.json.id).toMatch(/^[\da-f-]{36}$/)
})

it('parses a command before it is queued', async () => {
  const answer = await post(await running(), { method: 'no spaces' }, { prefer: 'respond-async' })
  expect([answer.status, answer.json.error]).toEqual([400, 'METHOD_INVALID'])
})

it('says whether a command may be in the queue when the broker fails', async () => {
  const server = await running()
  const full = await post(server, { method: 'full.add' }, { prefer: 'respond-async' })
  expect([full.status, full.json.error, full.headers.get('retry-after')]).toEqual([503, 'NACKED', '5'])
  const lost = await post(server, { method: 'lost.add' }, { prefer: 'respond-async' })
  expect([lost.status, lost.json.error]).toEqual([504, 'CONFIRM_TIMEOUT'])
  expect(lost.json.hint).toContain('same Idempotency-Key')
})

it('answers 202 when the wait is over, and keeps the reply for later', async () => {
  const server = await running()
  const headers = { prefer: 'wait=0', 'idempotency-key': 'order-5' }
  const answer = await post(server, SLOW, headers)
  expect([answer.status, answer.json.id]).toEqual([202, 'order-5'])
  expect(answer.headers.get('preference-applied')).toBe('wait=0')
  expect((await ask(`${server.url}/v1/commands/order-5`)).status).toBe(202)
  server.door.release()
  const late = await ask(`${server.url}/v1/commands/order-5`)
  expect([late.status, late.json.outcome]).toEqual([200, 'done'])
})

it('carries a command out once when it is sent twice under one key', async () => {
  const server = await running()
  const first = post(server, SLOW, { 'idempotency-key': 'k1', traceparent: 'a' })
  await until(() => server.door.begun.length === 1)
  const second = post(server, SLOW, { 'idempotency-key': '"k1"', traceparent: 'b' })
  const other = await post(server, { ...SLOW, params: { id: 2 } }, { 'idempotency-key': 'k1' })
  expect([other.status, other.json.error]).toEqual([422, 'MESSAGE_ID_REUSED'])
  server.door.release()
  expect((await first).text).toBe((await second).text)
  expect(server.door.begun).toEqual(['k1'])
})

it('withdraws a command when its only caller hangs up', async () => {
  const server = await running()
  const hangUp = new AbortController()
  const gone = post(server, SLOW, { 'idempotency-key': 'k1' }, { signal: hangUp.signal })
  await until(() => server.door.begun.length === 1)
  hangUp.abort()
  await expect(gone).rejects.toThrow()
  await until(() => server.door.withdrawn.length === 1)
  const again = post(server, SLOW, { 'idempotency-key': 'k1' })
  await until(() => server.door.begun.length === 2)
  server.door.release()
  expect((await again).json.outcome).toBe('done')
})

it('refuses more callers than it has room for', async () => {
  const server = await running({ maxWaiting: 1 })
  const first = post(server, SLOW)
  await until(() => server.door.begun.length === 1)
  const second = await post(server, DEAL)
  expect([second.status, second.json.error, second.headers.get('retry-after')]).toEqual([
    429,
    'TOO_MANY_COMMANDS',
    '1',
  ])
  server.door.release()
  expect((await first).status).toBe(200)
})

it.each(['', 'ключ', 'x'.repeat(256)])('refuses the Idempotency-Key %j', async (key) => {
  const encoded = Buffer.from(key).toString('latin1')
  const answer = await post(await running(), DEAL, { 'idempotency-key': encoded })
  expect([answer.status, answer.json.error]).toEqual([400, 'IDEMPOTENCY_KEY_INVALID'])
})

it('takes portal, priority and order from headers too', async () => {
  const answer = await post(await running(), DEAL, { 'x-b24-priority': 'sometimes' })
  expect([answer.status, answer.json.error]).toEqual([400, 'HEADER_INVALID'])
})

it('knows nothing of an id that was never sent', async () => {
  const { url } = await running()
  for (const id of ['nothing', '%0d%0ax', 'x'.repeat(300)]) {
    const answer = await ask(`${url}/v1/commands/${id}`)
    expect([answer.status, answer.json.error]).toEqual([404, 'COMMAND_NOT_FOUND'])
  }
})

it('takes no command while it is shutting down', async () => {
  const server = await running()
  server.health = { ...server.health, draining: true }
  const answer = await post(server, DEAL)
  expect([answer.status, answer.json.error]).toEqual([503, 'DRAINING'])
  expect(server.door.begun).toEqual([])
})

it('ends the waiting of callers when it closes', async () => {
  const server = await running()
  const waiting = post(server, SLOW)
  await until(() => server.door.begun.length === 1)
  await Promise.all([server.server.close(), server.server.close()])
  expect((await waiting).json.error).toBe('DRAINING')
})

it('lets callers have replies that come soon after it begins to close', async () => {
  const server = await running()
  const waiting = post(server, SLOW)
  await until(() => server.door.begun.length === 1)
  const closed = server.server.close()
  server.door.release()
  expect((await waiting).json.outcome).toBe('done')
  await closed
})

it('keeps the text of an unexpected error to the log, without secrets', async () => {
  const server = await running()
  const answer = await post(server, { method: 'broken.get' })
  expect([answer.status, answer.json.error]).toEqual([500, 'INTERNAL_ERROR'])
  expect(answer.text).not.toContain('for auth')
  const { event, fields } = server.logged[0]!
  expect(event).toBe('http.failed')
  expect(fields).toMatchObject({ route: '/v1/commands', status: 500, reason: 'no, for auth=•••' })
  expect(JSON.stringify(server.logged)).not.toContain('verysecret')
})
