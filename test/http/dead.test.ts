import { readFileSync } from 'node:fs'
import { expect, it, onTestFinished } from 'vitest'
import { createDeadLetters, type DeadLetters } from '../../src/bridge/dead/letters.ts'
import { LETTER_REFUSALS } from '../../src/bridge/dead/refusals.ts'
import type { Broker, Message } from '../../src/brokers/broker.ts'
import { openEmbeddedBroker } from '../../src/brokers/embedded.ts'
import type { DeadLetter } from '../../src/model/dead-letter.ts'
import { deadLetterQueries } from '../../src/stores/bound.ts'
import { openStore } from '../../src/stores/open.ts'
import { openSealer } from '../../src/stores/seal.ts'
import { openSecrets } from '../../src/stores/secrets.ts'
import { bytesToJson } from '../../src/util/json-bytes.ts'
import { ask, type Running, running } from './running.ts'

const AT = Date.parse('2026-11-01T10:00:00Z')

interface Bench {
  readonly server: Running
  readonly letters: DeadLetters
  readonly broker: Broker
  /** Keeps a letter and gives its id. */
  put(more?: Partial<DeadLetter>, message?: Partial<Message>): Promise<string>
  /** Takes what is on the queue of commands. */
  taken(): Promise<Message[]>
}

async function open(): Promise<Bench> {
  const store = await openStore('sqlite::memory:', { now: Date.now })
  const key = `k1:${Buffer.alloc(32, 1).toString('base64')}`
  const secrets = await openSecrets(store.db, openSealer({ keys: key }), Date.now)
  const broker = await openEmbeddedBroker({ db: store.db, now: Date.now })
  const queues = [{ name: 'commands', durable: true, type: 'plain' as const }]
  await broker.declare({ mode: 'declare', exchanges: [], queues, bindings: [] })
  const queries = deadLetterQueries(store, secrets)
  let fresh = 0
  const newId = (): string => `fresh-${++fresh}`
  const letters = createDeadLetters({ store: queries, broker, now: Date.now, newId, log: () => undefined })
  const server = await running({ deadLetters: letters })
  onTestFinished(async () => {
    await broker.close()
    await store.close()
  })
  let count = 0
  return {
    server,
    letters,
    broker,
    async put(more = {}, { body = Buffer.from('{"method":"x"}'), headers = {}, ...properties } = {}) {
      const { token, ...plain } = headers
      const letter: DeadLetter = {
        id: `letter${++count}`,
        kind: 'command',
        state: 'open',
        reason: 'BODY_NOT_JSON',
        unsure: false,
        queue: 'commands',
        contract: 'native',
        ...(more.kind === 'foreign' ? {} : { target: { exchange: '', routingKey: 'commands' } }),
        attempts: 0,
        deliveries: 1,
        bytes: body.length,
        diedAt: AT + count,
        storedAt: AT,
        retries: 0,
        ...more,
      }
      await queries.insert(letter, {
        properties: JSON.stringify({
          ...properties,
          headers: bytesToJson(token === undefined ? plain : { ...plain, token: '•••' }),
        }),
        secretHeaders: typeof token === 'string' ? { token } : {},
        body,
      })
      return letter.id
    },
    async taken() {
      const messages: Message[] = []
      for (;;) {
        const delivery = await broker.get('commands')
        if (delivery === undefined) return messages
        delivery.ack()
        messages.push(delivery.message)
      }
    },
  }
}

const post = ({ server }: Bench, path: string, body: unknown) =>
  ask(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

it('lists letters by the page and by what is asked for', async () => {
  const bench = await open()
  for (let i = 0; i < 5; i++) await bench.put({ reason: i < 3 ? 'BODY_NOT_JSON' : 'OUTCOME_UNKNOWN' })
  const get = (query: string) => ask(`${bench.server.url}/v1/dead${query}`)
  const first = await get('?limit=2')
  expect(first.json.letters.map((one: { id: string }) => one.id)).toEqual(['letter5', 'letter4'])
  const second = await get(`?limit=2&after=${first.json.next}`)
  expect(second.json.letters.map((one: { id: string }) => one.id)).toEqual(['letter3', 'letter2'])
  expect((await get('?reason=outcome_unknown')).json.letters).toHaveLength(2)
  expect((await get('?state=retried')).json).toEqual({ letters: [], next: null })
  expect((await get('?until=2026-11-01T10:00:00.002Z')).json.letters).toMatchObject([
    { id: 'letter1', died_at: '2026-11-01T10:00:00.001Z', target: { exchange: '', routing_key: 'commands' } },
  ])
})

it('refuses a filter or a body that it does not know, without repeating it', async () => {
  const bench = await open()
  for (const query of ['?reasons=X', '?limit=0', '?limit=1001', '?since=yesterday', '?state=gone']) {
    const answer = await ask(`${bench.server.url}/v1/dead${query}`)
    expect([answer.status, answer.json.error], query).toEqual([400, 'FILTER_INVALID'])
  }
  const id = await bench.put()
  for (const body of ['{', '[]', { newId: true }, { edit: { bodies: 'marked' } }, { queue: 7 }]) {
    const answer = await post(bench, `/v1/dead/${id}/retry`, body)
    expect([answer.status, answer.json.error], JSON.stringify(body)).toEqual([400, 'RETRY_INVALID'])
    expect(answer.text).not.toContain('marked')
  }
  for (const body of [{}, { filter: { all: true } }, { filter: {}, rate_per_second: 0 }]) {
    expect((await post(bench, '/v1/dead/retry', body)).json.error).toBe('RETRY_INVALID')
  }
  expect(await bench.taken()).toEqual([])
})

it('shows a message with its credentials masked, and bytes that are no text as base64', async () => {
  const bench = await open()
  const body = '{"auth":"marked-1","url":"https://a.bitrix24.com/rest/1/marked2/","x":"y"}'
  const id = await bench.put({}, { body: Buffer.from(body), headers: { token: 'marked-3', method: 'x' } })
  const { json, text } = await ask(`${bench.server.url}/v1/dead/${id}`)
  expect(json).toMatchObject({
    id,
    body: '{"auth":"•••","url":"https://a.bitrix24.com/rest/1/•••/","x":"y"}',
    properties: { headers: { token: '•••', method: 'x' } },
  })
  expect(text).not.toContain('marked')
  const bytes = await bench.put({}, { body: Buffer.from([0xff, 0x00]) })
  expect((await ask(`${bench.server.url}/v1/dead/${bytes}`)).json).toMatchObject({ body_base64: '/wA=' })
  const missing = await ask(`${bench.server.url}/v1/dead/nobody`)
  expect([missing.status, missing.json.error]).toEqual([404, 'LETTER_UNKNOWN'])
})

it('sends a letter again as it was, with its secret headers, and says who did it', async () => {
  const bench = await open()
  const body = Buffer.from([0xff, 0x00, 0x7b])
  const headers = { token: 'marked-3', method: 'crm.lead.add', n: 7, b: Buffer.from([1, 2]) }
  const id = await bench.put({}, { body, headers, messageId: 'm-1', replyTo: 'answers', priority: 3 })
  const sent = await post(bench, `/v1/dead/${id}/retry`, { by: 'ann' })
  expect(sent.json).toEqual({ sent: true, id, message_id: 'm-1', exchange: '', routing_key: 'commands' })
  expect(await bench.taken()).toMatchObject([
    {
      body,
      messageId: 'm-1',
      replyTo: 'answers',
      priority: 3,
      headers: { ...headers, 'x-b24-dead-retry': id },
    },
  ])
  const shown = await ask(`${bench.server.url}/v1/dead/${id}`)
  expect(shown.json).toMatchObject({ state: 'retried', retries: 1, retried_by: 'http:ann' })
})

it('sends a letter again under a new id, with changes, or to another queue', async () => {
  const bench = await open()
  const body = Buffer.from('{"method":"crm.deal.get","params":{"id":12345678901234567890},"meta":1.50}')
  const id = await bench.put({}, { body, messageId: 'm-1' })
  const edit = { method: 'crm.lead.get', headers: { 'x-b24-priority': 'urgent' } }
  await post(bench, `/v1/dead/${id}/retry`, { new_id: true, edit })
  const [first] = await bench.taken()
  expect(first).toMatchObject({ messageId: 'fresh-1', correlationId: 'm-1', headers: edit.headers })
  expect(first!.body.toString()).toBe(
    '{"method":"crm.lead.get","params":{"id":12345678901234567890},"meta":1.50}',
  )
  const twice = await post(bench, `/v1/dead/${id}/retry`, {})
  expect([twice.status, twice.json.error]).toEqual([409, 'LETTER_RETRIED'])
  await post(bench, `/v1/dead/${id}/retry`, { again: true, edit: { params: { id: 7 } } })
  expect((await bench.taken())[0]!.body.toString()).toBe(
    '{"method":"crm.deal.get","params":{"id":7},"meta":1.50}',
  )
  const broken = await bench.put({}, { body: Buffer.from('{"method"') })
  const refused = await post(bench, `/v1/dead/${broken}/retry`, { edit: { params: {} } })
  expect([refused.status, refused.json.error]).toEqual([400, 'EDIT_IMPOSSIBLE'])
  const lost = await post(bench, `/v1/dead/${broken}/retry`, { queue: 'no-such-queue' })
  expect([lost.status, lost.json.error]).toEqual([503, 'UNROUTABLE'])
  expect((await ask(`${bench.server.url}/v1/dead/${broken}`)).json).toMatchObject({
    state: 'open',
    retries: 1,
  })
})

it('does not send again what may have happened, nor what has no queue, unless told how', async () => {
  const bench = await open()
  const unsure = await bench.put({ unsure: true, reason: 'OUTCOME_UNKNOWN' }, { messageId: 'm-1' })
  const homeless = await bench.put({ kind: 'foreign' })
  const first = await post(bench, `/v1/dead/${unsure}/retry`, {})
  expect([first.status, first.json.error]).toEqual([409, 'LETTER_UNSURE'])
  const many = await post(bench, '/v1/dead/retry', { filter: { reason: 'OUTCOME_UNKNOWN' } })
  expect(many.json).toMatchObject({ sent: 0, skipped: 1, problems: [{ id: unsure, code: 'LETTER_UNSURE' }] })
  const second = await post(bench, `/v1/dead/${homeless}/retry`, {})
  expect([second.status, second.json.error]).toEqual([409, 'LETTER_WITHOUT_QUEUE'])
  expect(await bench.taken()).toEqual([])
  const told = await post(bench, `/v1/dead/${homeless}/retry`, { queue: 'commands' })
  expect(told.json).toMatchObject({ sent: true, routing_key: 'commands' })
  const forced = await post(bench, `/v1/dead/${unsure}/retry`, { new_id: true })
  expect(forced.json).toMatchObject({ sent: true, message_id: 'fresh-1' })
})

it('sends many again, says before what it would do, and drops and exports', async () => {
  const bench = await open()
  for (let i = 0; i < 7; i++)
    await bench.put({ method: i < 4 ? 'crm.deal.add' : 'crm.lead.add' }, { messageId: `m-${i}` })
  const filter = { method: 'crm.deal.*' }
  const before = await post(bench, '/v1/dead/retry', { filter, dry_run: true })
  expect(before.json).toEqual({ sent: 0, would_send: 4, skipped: 0, failed: 0, whole: true, problems: [] })
  expect(await bench.taken()).toEqual([])
  const sent = await post(bench, '/v1/dead/retry', { filter, rate_per_second: 1000, limit: 3 })
  expect(sent.json).toMatchObject({ sent: 3, failed: 0 })
  expect((await bench.taken()).map(({ messageId }) => messageId)).toEqual(['m-0', 'm-1', 'm-2'])
  const dropped = await ask(`${bench.server.url}/v1/dead/letter7`, { method: 'DELETE' })
  expect(dropped.status).toBe(204)
  const again = await ask(`${bench.server.url}/v1/dead/letter7`, { method: 'DELETE' })
  expect(again.status).toBe(404)
  const exported = await ask(`${bench.server.url}/v1/dead/export?state=all&original=1`)
  expect(exported.headers.get('content-type')).toContain('application/x-ndjson')
  const lines = exported.text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(lines.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6].map((n) => `letter${n}`))
  expect(Buffer.from(lines[0].body_base64, 'base64').toString()).toBe('{"method":"x"}')
})

it('ends a run over many when its caller is gone, and the others stay open', async () => {
  const bench = await open()
  for (let i = 0; i < 9; i++) await bench.put()
  const gone = new AbortController()
  let ends = 0
  const onEach = (): void => {
    if (++ends === 3) gone.abort()
  }
  const how = { by: 'x', ratePerSecond: 1000, signal: gone.signal, onEach }
  expect(await bench.letters.retryMany({}, how)).toMatchObject({ sent: 3, whole: false })
  expect(await bench.letters.count({ state: 'open' })).toBe(6)
})

it('drops many by a filter only when that is said, and leaves what is set aside meanwhile', async () => {
  const bench = await open()
  for (let i = 0; i < 5; i++) await bench.put({ reason: i < 3 ? 'BODY_NOT_JSON' : 'OUTCOME_UNKNOWN' })
  await bench.put({ reason: 'BODY_NOT_JSON', diedAt: Date.now() + 3_600_000 })
  const filter = { reason: 'body_not_json' }
  const dry = await post(bench, '/v1/dead/drop', { filter })
  expect(dry.json).toEqual({ dropped: 0, would_drop: 3, whole: true })
  expect(await bench.letters.count({})).toBe(6)
  const first = await post(bench, '/v1/dead/drop', { filter, dry_run: false, limit: 1, by: 'ann' })
  expect(first.json).toEqual({ dropped: 1, would_drop: 0, whole: true })
  const rest = await post(bench, '/v1/dead/drop', { filter, dry_run: false })
  expect(rest.json).toEqual({ dropped: 2, would_drop: 0, whole: true })
  expect(await bench.letters.count({ reason: 'BODY_NOT_JSON' })).toBe(1)
  const gone = AbortSignal.abort()
  expect(await bench.letters.dropMany({}, { by: 'x', signal: gone })).toMatchObject({
    dropped: 0,
    whole: false,
  })
  for (const body of ['{', '[]', {}, { filter: { reasons: 'x' } }, { filter: {}, dry_run: 'no' }]) {
    const answer = await post(bench, '/v1/dead/drop', body)
    expect([answer.status, answer.json.error], JSON.stringify(body)).toEqual([400, 'DROP_INVALID'])
  }
  expect(await bench.letters.count({})).toBe(3)
})

it('sends a letter once when two want it at the same moment', async () => {
  const bench = await open()
  const id = await bench.put()
  const answers = await Promise.all([1, 2, 3].map(() => post(bench, `/v1/dead/${id}/retry`, {})))
  const codes = answers.map(({ json }) => json.error ?? 'sent').sort()
  expect(codes.filter((code) => code === 'sent')).toHaveLength(1)
  for (const code of codes) expect(['sent', 'LETTER_BUSY', 'LETTER_RETRIED']).toContain(code)
  expect(await bench.taken()).toHaveLength(1)
})

it('has nothing to show where letters stay in their queue, and says so', async () => {
  const server = await running({ deadLetters: 'queue' })
  for (const [path, method] of [
    ['', 'GET'],
    ['/1', 'GET'],
    ['/export', 'GET'],
    ['/1/retry', 'POST'],
    ['/1', 'DELETE'],
  ] as const) {
    const answer = await ask(`${server.url}/v1/dead${path}`, { method })
    expect([answer.status, answer.json.error], path).toEqual([409, 'DEAD_LETTERS_IN_QUEUE'])
  }
})

it('lets nobody see or send letters who may not send commands', async () => {
  const bench = await open()
  const id = await bench.put()
  for (const [path, method] of [
    ['', 'GET'],
    [`/${id}`, 'GET'],
    ['/export', 'GET'],
    [`/${id}/retry`, 'POST'],
    ['/retry', 'POST'],
    ['/drop', 'POST'],
    [`/${id}`, 'DELETE'],
  ] as const) {
    const headers = { authorization: 'Bearer wrong' }
    const answer = await ask(`${bench.server.url}/v1/dead${path}`, { method, headers })
    expect([answer.status, answer.json.error], `${method} ${path}`).toEqual([401, 'TOKEN_WRONG'])
  }
  expect(await bench.taken()).toEqual([])
})

it('names every refusal on the page, beside its status', () => {
  const rows = readFileSync(new URL('../../docs/dead-letters.md', import.meta.url), 'utf8').split('\n')
  for (const [code, { status }] of Object.entries(LETTER_REFUSALS)) {
    expect(rows.find((line) => line.startsWith(`| ${status} |`))).toContain(`\`${code}\``)
  }
})
