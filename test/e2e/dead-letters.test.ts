import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { movedMessage } from '../../src/bridge/commands/aside.ts'
import { run } from '../cli/support/command-line.ts'
import { eventually } from '../conformance/broker.ts'
import { ADMIN_TOKEN, addDeal, type Bench, type BenchOptions, BROKERS, openBench } from '../support/bridge.ts'
import { createFor, DATABASES } from '../support/databases.ts'
import { amqpUrl } from '../support/engines.ts'

const STORED = { BRIDGE_DEAD_LETTERS: 'store' }

async function open(options: BenchOptions): Promise<Bench> {
  const bench = await openBench({ ...options, env: { ...STORED, ...options.env } })
  onTestFinished(() => bench[Symbol.asyncDispose]())
  return bench
}

/** The command line beside the running bridge. */
function cli({ env, folder }: Bench, ...words: string[]) {
  const given = Object.entries(env).filter((one): one is [string, string] => one[1] !== undefined)
  return run(words, { env: Object.fromEntries(given), cwd: folder })
}

// biome-ignore lint/suspicious/noExplicitAny: tests reach into any JSON
async function json(bench: Bench, ...words: string[]): Promise<any> {
  const { code, out, err } = await cli(bench, 'dead', ...words, '--json')
  expect({ code, err }, words.join(' ')).toEqual({ code: 0, err: '' })
  return JSON.parse(out)
}

/** The letters as `dead list` shows them, when there are so many. */
// biome-ignore lint/suspicious/noExplicitAny: tests reach into any JSON
async function letters(bench: Bench, count: number, ...filter: string[]): Promise<any[]> {
  let found: unknown[] = []
  await eventually(async () => {
    found = (await json(bench, 'list', ...filter)).letters
    expect(found).toHaveLength(count)
  }, 25_000)
  return found
}

for (const { name, kind, skip } of BROKERS) {
  describe.skipIf(skip)(`dead letters ${name}`, () => {
    it('a command that could not be read is listed, mended and sent again, and its reply arrives', async () => {
      const bench = await open({ broker: kind })
      const id = await bench.send('{"method":"crm.deal.get","params":{"id":7}', { correlationId: 'order-1' })
      expect((await bench.reply('order-1')).body).toMatchObject({ error: { code: 'BODY_NOT_JSON' } })
      const [letter] = await letters(bench, 1)
      expect(letter).toMatchObject({
        kind: 'command',
        state: 'open',
        reason: 'BODY_NOT_JSON',
        description: expect.stringMatching(/.{10,}/),
        hint: expect.stringMatching(/.{10,}/),
        queue: bench.commandQueue,
        contract: 'native',
        messageId: id,
        correlationId: 'order-1',
        attempts: 0,
        deliveries: 1,
        unsure: false,
      })
      const shown = await json(bench, 'show', letter.id)
      expect(shown.body).toBe('{"method":"crm.deal.get","params":{"id":7}')
      const again = ['edit', letter.id, '--body', '{"method":"crm.deal.get","params":{"id":7}}']
      expect(await json(bench, ...again, '--dry-run')).toMatchObject({ sent: false })
      expect(bench.repliesTo('order-1')).toHaveLength(1)
      expect(await json(bench, ...again)).toMatchObject({ sent: true, messageId: id })
      await eventually(() => expect(bench.repliesTo('order-1')).toHaveLength(2))
      expect(bench.repliesTo('order-1')[1]!.body).toMatchObject({ outcome: 'done', result: { ID: '7' } })
      const { letter: after } = await json(bench, 'show', letter.id)
      expect(after).toMatchObject({ state: 'retried', retries: 1, retriedBy: expect.stringMatching(/^cli:/) })
      expect((await json(bench, 'list')).letters).toEqual([])
      expect((await json(bench, 'list', '--state', 'all')).letters).toHaveLength(1)
    })

    it('a reply that no queue took arrives when it is sent again after the queue was made', async () => {
      const bench = await open({ broker: kind })
      const missing = `${bench.replyQueue}.missing`
      await bench.send(addDeal('no way back'), { replyTo: missing, messageId: 'm-1' })
      const [letter] = await letters(bench, 1, '--reason', 'reply_unroutable')
      expect(letter).toMatchObject({ kind: 'reply', target: { exchange: '', routingKey: missing } })
      const spec = { name: missing, durable: true, type: 'plain' as const }
      await bench.tool.declare({ mode: 'declare', exchanges: [], queues: [spec], bindings: [] })
      await json(bench, 'retry', letter.id)
      const reply = await bench.tool.get(missing)
      reply?.ack()
      expect(reply?.message).toMatchObject({ correlationId: 'm-1', headers: { 'x-b24-outcome': 'done' } })
      expect(JSON.parse(String(reply?.message.body))).toMatchObject({ outcome: 'done' })
      expect(bench.sandbox.stats().writes).toBe(1)
      await bench.tool.deleteQueue(missing)
    })

    it('a write whose end nobody knows is kept, and sent again only under a new id', async () => {
      const bench = await open({ broker: kind })
      bench.sandbox.fault([{ kind: 'reset-after', match: { method: 'crm.deal.add' } }])
      const { body } = await bench.ask(addDeal('in doubt'), { messageId: 'm-1' })
      expect(body.outcome).toBe('unknown')
      const [letter] = await letters(bench, 1)
      expect(letter).toMatchObject({ unsure: true, method: 'crm.deal.add', messageId: 'm-1', attempts: 1 })
      expect(letter.portal).toBe(new URL(bench.sandbox.url).host)
      expect((await json(bench, 'list', '--portal', letter.portal)).letters).toHaveLength(1)
      expect((await json(bench, 'list', '--portal', 'other.example')).letters).toEqual([])
      const refused = await cli(bench, 'dead', 'retry', letter.id)
      expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('--new-id') })
      const many = await json(bench, 'retry', '--all')
      expect(many).toMatchObject({
        sent: 0,
        skipped: 1,
        problems: [{ id: letter.id, code: 'LETTER_UNSURE' }],
      })
      await json(bench, 'retry', letter.id, '--new-id')
      await eventually(() => expect(bench.repliesTo('m-1')).toHaveLength(2))
      expect(bench.repliesTo('m-1')[1]!.body.outcome).toBe('done')
    })

    it('a command that was moved to another queue is kept as it came, and goes back to where it came', async () => {
      const bench = await open({ broker: kind, started: false })
      const { tool } = bench
      const beside = `${bench.commandQueue}.suspect`
      const queues = [{ name: beside, durable: true, type: 'quorum' as const }]
      await tool.declare({ mode: 'declare', exchanges: [], queues, bindings: [] })
      onTestFinished(() => tool.deleteQueue(beside))
      await bench.start()
      bench.sandbox.fault([{ kind: 'reset-after', match: { method: 'crm.deal.add' } }])
      const body = Buffer.from(JSON.stringify(addDeal('moved', { deadlineMs: 600_000 })))
      const message = { body, headers: { 'x-mine': '1' }, messageId: 'm-1', expiration: '500000' }
      const moved = movedMessage(message, Date.now() - 300_000)
      await tool.publish({ exchange: '', routingKey: beside }, moved)
      // Suspects are tried some seconds after the start.
      expect((await bench.reply('m-1', 20_000)).body.outcome).toBe('unknown')
      const [letter] = await letters(bench, 1)
      expect(letter).toMatchObject({ queue: bench.commandQueue, target: { routingKey: bench.commandQueue } })
      const { properties } = await json(bench, 'show', letter.id)
      expect(properties).toMatchObject({ expiration: '500000' })
      expect(properties.headers).toEqual({ 'x-mine': '1' })
      await json(bench, 'retry', letter.id, '--new-id')
      await eventually(() => expect(bench.repliesTo('m-1')).toHaveLength(2))
      expect(bench.repliesTo('m-1')[1]!.body.outcome).toBe('done')
    })

    it('five hundred are sent again at a rate, each once, and those that fail again are new letters', async () => {
      const bench = await open({ broker: kind })
      const ids: string[] = []
      for (let i = 0; i < 500; i++) ids.push(await bench.send(`not json ${i}`))
      await letters(bench, 500, '--limit', '1000')
      const dry = await json(bench, 'retry', '--reason', 'BODY_NOT_JSON', '--dry-run')
      expect(dry).toMatchObject({ sent: 0, wouldSend: 500 })
      const began = performance.now()
      const all = await json(bench, 'retry', '--reason', 'BODY_NOT_JSON', '--rate', '250')
      // A lower bound: the rate is what the portal and the queue are spared, however fast this machine is.
      expect(performance.now() - began).toBeGreaterThan((499 / 250) * 1000 - 50)
      expect(all).toMatchObject({ sent: 500, failed: 0, skipped: 0, whole: true, problems: [] })
      await eventually(() => {
        for (const id of ids) expect(bench.repliesTo(id)).toHaveLength(2)
      }, 15_000)
      const again = await letters(bench, 500, '--limit', '1000')
      expect(new Set(again.map(({ messageId }) => messageId))).toEqual(new Set(ids))
      expect(again.every(({ retryOf }) => typeof retryOf === 'string')).toBe(true)
      expect((await json(bench, 'drop', '--all', '--yes')).dropped).toBe(500)
    }, 90_000)
  })
}

describe.skipIf(amqpUrl === undefined)('dead letters of commands from RabbitMQ', () => {
  for (const database of DATABASES.filter(({ name }) => name !== 'SQLite')) {
    it.skipIf(database.skip)(`are kept and sent again on ${database.name}${database.note}`, async () => {
      const { url } = await createFor(database)
      const key = `k1:${Buffer.alloc(32, 1).toString('base64')}`
      const bench = await open({ broker: 'amqp', env: { BRIDGE_STORE: url, BRIDGE_SECRET_KEY: key } })
      const id = await bench.send('{"method":"crm.deal.get","parms":{}}')
      const [letter] = await letters(bench, 1)
      expect(letter).toMatchObject({ reason: 'KEY_UNKNOWN', method: 'crm.deal.get' })
      await json(bench, 'edit', letter.id, '--body', '{"method":"server.time"}')
      await eventually(() => expect(bench.repliesTo(id)).toHaveLength(2))
      expect(bench.repliesTo(id)[1]!.body.outcome).toBe('done')
      // Before the database goes.
      await bench.service.stop()
    })
  }
})

describe('dead letters of rabbitmq-to-bitrix24', () => {
  it('hold the token sealed: it is seen nowhere, and is there again when the letter is sent', async () => {
    const bench = await open({ broker: 'embedded', contract: 'rabbitmq-to-bitrix24' })
    const [user, token] = bench.sandbox.webhookUrl.split('/').slice(-3, -1) as [string, string]
    const id = await bench.send('{"id":', { headers: { method: 'crm.deal.get', user, token } })
    expect((await bench.reply(id)).body).toMatchObject({ error: 'BODY_NOT_JSON' })
    const [letter] = await letters(bench, 1)
    expect(letter).toMatchObject({ contract: 'rabbitmq-to-bitrix24', method: 'crm.deal.get' })
    const seen = [
      JSON.stringify(await json(bench, 'show', letter.id)),
      (await cli(bench, 'dead', 'show', letter.id)).out,
      (await cli(bench, 'dead', 'export', '--original')).out,
      JSON.stringify(await json(bench, 'edit', letter.id, '--body', '{"id":7}', '--dry-run')),
      bench.logs(),
    ]
    for (const text of seen) expect(text.includes(token)).toBe(false)
    await json(bench, 'edit', letter.id, '--body', '{"id":7}')
    await eventually(() => expect(bench.repliesTo(id)).toHaveLength(2))
    expect(bench.repliesTo(id)[1]!.body).toMatchObject({ result: { ID: '7' } })
  })

  it('do not grow by commands in doubt, as the older programs had none', async () => {
    const bench = await open({ broker: 'embedded', contract: 'rabbitmq-to-bitrix24' })
    const [user, token] = bench.sandbox.webhookUrl.split('/').slice(-3, -1) as [string, string]
    bench.sandbox.fault([{ kind: 'reset-after', match: { method: 'crm.deal.add' } }])
    await bench.ask({ fields: { TITLE: 'in doubt' } }, { headers: { method: 'crm.deal.add', user, token } })
    expect(bench.sandbox.stats().writes).toBe(1)
    expect(bench.logged('dead.kept')).toEqual([])
  })
})

describe('the command line for dead letters', () => {
  it('shows a table, a letter and a file, and asks before it drops', async () => {
    const bench = await open({ broker: 'embedded' })
    expect((await cli(bench, 'dead', 'list')).out).toMatch(/^No dead letter fits\./)
    await bench.ask('\u001b[2Jnot json', { messageId: 'm-1' })
    const [letter] = await letters(bench, 1)
    const list = await cli(bench, 'dead', 'list', '--since', '1h', '--queue', bench.commandQueue)
    expect(list.out).toMatch(/^ID +REASON +PORTAL +METHOD +QUEUE +AGE +STATE\n/)
    expect(list.out).toContain(letter.id)
    const shown = (await cli(bench, 'dead', 'show', letter.id)).out
    expect(shown).toContain('BODY_NOT_JSON')
    expect(shown).toContain('message id')
    expect(shown).not.toContain('\u001b')
    const file = await cli(bench, 'dead', 'export', '--out', 'letters.ndjson')
    expect(file).toMatchObject({ code: 0, err: '1 letter → letters.ndjson\n' })
    expect(JSON.parse(readFileSync(join(bench.folder, 'letters.ndjson'), 'utf8'))).toMatchObject({
      id: letter.id,
      body: '\u001b[2Jnot json',
    })
    expect((await cli(bench, 'dead', 'export', '--out', 'letters.ndjson')).code).toBe(2)
    expect(await cli(bench, 'dead', 'drop', letter.id)).toMatchObject({ code: 2 })
    expect((await cli(bench, 'dead', 'drop', letter.id, '--yes')).out).toBe('dropped: 1 letter\n')
    expect(await cli(bench, 'dead', 'show', letter.id)).toMatchObject({ code: 2 })
  })

  it('refuses what is not meant: everything at once, no change, moments and headers that are none', async () => {
    const bench = await open({ broker: 'embedded' })
    const wrong = [
      ['retry'],
      ['drop', '--yes'],
      ['edit', 'x'],
      ['list', '--since', 'yesterday'],
      ['list', '--state', 'gone'],
      ['retry', '--all', '--rate', '0'],
      ['edit', 'x', '--header', 'nothing'],
      ['edit', 'x', 'id'],
      ['show', 'nobody'],
    ]
    for (const words of wrong) expect((await cli(bench, 'dead', ...words)).code, words.join(' ')).toBe(2)
  })

  it('says where letters are when they stay in their queue', async () => {
    const bench = await open({ broker: 'embedded', env: { BRIDGE_DEAD_LETTERS: 'queue' } })
    await bench.ask('not json')
    const { code, err } = await cli(bench, 'dead', 'list')
    expect({ code, err }).toMatchObject({
      code: 2,
      err: expect.stringContaining('BRIDGE_DEAD_LETTERS=store'),
    })
    const answer = await fetch(`${bench.service.url}/v1/dead`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    })
    expect(answer.status).toBe(409)
    expect(await bench.dead()).toHaveLength(1)
  })
})
