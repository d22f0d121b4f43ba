import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Environment } from '../../src/config/read.ts'
import { eventually, take } from '../conformance/broker.ts'
import { BROKERS } from '../support/bridge.ts'
import { DATABASES } from '../support/databases.ts'
import { isSigned, type OutboxBench, openListener, openOutboxBench } from '../support/outbox.ts'

const SECRET = `whsec_${Buffer.alloc(32, 3).toString('base64')}`
const OLDER = `whsec_${Buffer.alloc(24, 9).toString('base64')}`
const ALLOWED: Environment = { BRIDGE_OUTBOX_SECRET: SECRET, BRIDGE_OUTBOX_PRIVATE_HOSTS: '127.0.0.1' }
const READ = { method: 'crm.deal.get', params: '{"id":7}' }

/** What an operator does who does not want to wait for the next attempt. */
const tryNow = ({ store }: OutboxBench) =>
  sql`update b24_inbox set callback_at = 0 where callback_state = 'waiting'`.execute(store.db)

const state = async (one: OutboxBench, id: number) => {
  const { callback_state, callback_attempts, callback_error } = await one.reply(id)
  return [callback_state, callback_attempts, callback_error]
}

for (const database of DATABASES)
  describe.skipIf(database.skip)(`replies that are posted, on ${database.name}${database.note}`, () => {
    it('are signed, and say which row they answer', async () => {
      const { url, posts } = await openListener()
      const one = await openOutboxBench(database, { env: ALLOWED })
      const id = await one.insert({ ...READ, callback: `${url}/hook?key=k`, meta: '{"n":90071992547409931}' })
      await eventually(async () => expect(await state(one, id)).toEqual(['sent', 1, null]))
      const [post] = posts
      expect(posts).toHaveLength(1)
      expect(post?.path).toBe('/hook?key=k')
      expect(isSigned(SECRET, post!)).toBe(true)
      expect(isSigned(OLDER, post!)).toBe(false)
      expect(isSigned(SECRET, { ...post!, body: `${post!.body} ` })).toBe(false)
      const { id: inboxId } = await one.reply(id)
      expect(JSON.parse(post!.body)).toMatchObject({
        type: 'b24.reply',
        outbox_id: id,
        inbox_id: inboxId,
        data: { method: 'crm.deal.get', outcome: 'done', result: { ID: '7' } },
      })
      expect(post!.body).toContain('"meta":{"n":90071992547409931}')
      expect(one.bench.logs()).not.toContain('key=k')
    })

    it('are posted again until somebody takes them, with the same id', async () => {
      const { url, posts } = await openListener([500, 302])
      const one = await openOutboxBench(database, { env: ALLOWED })
      const id = await one.insert({ ...READ, callback: url })
      await eventually(async () => expect(await state(one, id)).toEqual(['waiting', 1, 'HTTP 500']))
      expect(Number((await one.reply(id)).callback_at)).toBeGreaterThan(Date.now() - 60_000)
      await tryNow(one)
      await eventually(async () => expect(await state(one, id)).toEqual(['waiting', 2, 'HTTP 302']))
      await tryNow(one)
      await eventually(async () => expect(await state(one, id)).toEqual(['sent', 3, null]))
      expect(posts.map(({ path }) => path)).toEqual(['/', '/', '/'])
      expect(new Set(posts.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
      for (const post of posts) expect(isSigned(SECRET, post)).toBe(true)
    })

    it('are given up after the last attempt, and at once where nobody wants them', async () => {
      const { url } = await openListener([410])
      const one = await openOutboxBench(database, { env: ALLOWED })
      const gone = await one.insert({ ...READ, callback: url })
      await eventually(async () => expect(await state(one, gone)).toEqual(['dead', 1, 'HTTP 410']))
      const away = await one.insert({ ...READ, callback: 'http://127.0.0.1:9/' })
      const failing = expect.stringContaining('CALLBACK_FAILED: The callback address 127.0.0.1:9')
      await eventually(async () => expect(await state(one, away)).toEqual(['waiting', 1, failing]))
      await sql`update b24_inbox set callback_attempts = 9, callback_at = 0
        where callback_state = 'waiting'`.execute(one.store.db)
      await eventually(async () => expect(await state(one, away)).toEqual(['dead', 10, failing]))
      expect(await one.row(away)).toMatchObject({ state: 'done' })
    })
  })

describe('an address that a row names', () => {
  const [sqlite] = DATABASES

  it.each([
    ['CALLBACK_REFUSED', (url: string) => url],
    ['CALLBACK_REFUSED', () => 'https://127.0.0.1:9/'],
    ['CALLBACK_REFUSED', () => 'https://[::ffff:10.0.0.1]/'],
    ['CALLBACK_REFUSED', () => 'https://169.254.169.254/latest/meta-data'],
    ['CALLBACK_REFUSED', () => 'https://0x7f.1/'],
    ['CALLBACK_INVALID', () => 'https://user:pass@example.com/'],
    ['CALLBACK_INVALID', () => 'ftp://example.com/'],
  ])('is refused with %s before anything is done (%#)', async (code, callback) => {
    const { url, posts } = await openListener()
    const one = await openOutboxBench(sqlite!, { env: { BRIDGE_OUTBOX_SECRET: SECRET } })
    const id = await one.insert({ method: 'crm.deal.add', params: '{}', callback: callback(url) })
    expect(await one.reply(id)).toMatchObject({ outcome: 'failed', error_code: code, callback_state: null })
    expect(one.titles()).toEqual([])
    expect(posts).toEqual([])
  })

  it('is refused when its name leads into a private network at the moment of connecting', async () => {
    const one = await openOutboxBench(sqlite!, { env: { BRIDGE_OUTBOX_SECRET: SECRET } })
    const id = await one.insert({ ...READ, callback: 'https://localhost:9/' })
    const refused = expect.stringContaining('CALLBACK_REFUSED: The callback address localhost:9')
    await eventually(async () => expect(await state(one, id)).toEqual(['waiting', 1, refused]))
  })

  it('is of no use without a secret to sign with', async () => {
    const one = await openOutboxBench(sqlite!, { env: { BRIDGE_OUTBOX_PRIVATE_HOSTS: '127.0.0.1' } })
    const id = await one.insert({ method: 'crm.deal.add', params: '{}', callback: 'http://127.0.0.1:9/' })
    expect(await one.reply(id)).toMatchObject({ outcome: 'failed', error_code: 'CALLBACK_UNSIGNED' })
    expect(one.titles()).toEqual([])
  })

  it('gets a signature of each secret while they change', async () => {
    const { url, posts } = await openListener()
    const one = await openOutboxBench(sqlite!, {
      env: { ...ALLOWED, BRIDGE_OUTBOX_SECRET: `${SECRET},${OLDER}` },
    })
    await one.insert({ ...READ, callback: url })
    await eventually(() => expect(posts).toHaveLength(1))
    expect([isSigned(SECRET, posts[0]!), isSigned(OLDER, posts[0]!)]).toEqual([true, true])
  })
})

for (const { name, kind, skip } of BROKERS)
  describe.skipIf(skip)(`replies to a queue ${name}`, () => {
    it('are published as native replies, also when the queue is made later', async () => {
      const one = await openOutboxBench(DATABASES[0]!, { broker: kind })
      const { tool } = one.bench
      const queue = `b24.test.outbox.${randomUUID()}`
      const early = await one.insert({
        ...READ,
        callback: `queue:${queue}`,
        message_id: 'early',
        meta: '"m"',
      })
      await eventually(async () =>
        expect(await state(one, early)).toEqual(['waiting', 1, expect.stringContaining('UNROUTABLE')]),
      )
      onTestFinished(() => tool.deleteQueue(queue))
      await tool.declare({
        mode: 'declare',
        exchanges: [],
        queues: [{ name: queue, durable: true, type: 'quorum' }],
        bindings: [],
      })
      await tryNow(one)
      const { message, ...delivery } = await take(tool, queue)
      expect(JSON.parse(message.body.toString())).toMatchObject({
        outcome: 'done',
        result: { ID: '7' },
        meta: 'm',
      })
      expect(message).toMatchObject({
        correlationId: 'early',
        headers: { 'x-b24-outcome': 'done', 'x-b24-outbox-id': early },
      })
      expect(delivery.redelivered).toBe(false)
      await eventually(async () => expect(await state(one, early)).toEqual(['sent', 2, null]))
    })
  })
