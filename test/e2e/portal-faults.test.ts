import { describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../conformance/broker.ts'
import { addDeal, type Bench, type BenchOptions, BROKERS, openBench } from '../support/bridge.ts'

const ids = (count: number) => Array.from({ length: count }, (_, i) => i)

for (const { name, kind, skip } of BROKERS) {
  describe.skipIf(skip)(`a bridge in front of a portal in trouble, ${name}`, () => {
    async function open(more: Partial<BenchOptions> = {}): Promise<Bench> {
      const bench = await openBench({ broker: kind, ...more })
      onTestFinished(() => bench[Symbol.asyncDispose]())
      return bench
    }

    it.each(['reset', 'reset-after', 'status', 'html', 'truncate', 'hang'] as const)(
      'answers every command once and doubles no write when requests end with: %s',
      async (fault) => {
        const bench = await open({ env: { BRIDGE_REQUEST_TIMEOUT: '1' } })
        bench.sandbox.fault([
          { kind: fault, match: { method: 'crm.deal.add', nth: 10 } },
          { kind: fault, match: { method: 'crm.deal.get', nth: 20 } },
        ])
        const writes = await Promise.all(ids(40).map((i) => bench.send(addDeal(`${fault} ${i}`))))
        const reads = await Promise.all(
          ids(40).map((i) => bench.send({ method: 'crm.deal.get', params: { id: i + 1 } })),
        )
        for (const id of reads) expect((await bench.reply(id)).body.outcome).toBe('done')
        const outcomes = await Promise.all(writes.map(async (id) => (await bench.reply(id)).body.outcome))
        expect(outcomes.filter((outcome) => outcome === 'unknown').length).toBeGreaterThan(0)
        const done = outcomes.filter((outcome) => outcome === 'done').length
        expect(outcomes.filter((outcome) => outcome === 'failed')).toEqual([])
        expect(bench.sandbox.stats().writes).toBeGreaterThanOrEqual(done)
        await bench.account()
      },
    )

    it('answers refusals as what they are: wrong secret, missing scope, unknown method', async () => {
      const bench = await open()
      bench.sandbox.change({ scopes: { s3cr3t: ['user'] } })
      expect((await bench.ask({ method: 'crm.deal.get', params: { id: 1 } })).body).toMatchObject({
        outcome: 'failed',
        status_code: 401,
        error: { code: 'insufficient_scope', hint: expect.stringContaining('right') },
      })
      await bench.account()
    })

    it('waits out limits and loses nothing: 300 writes at 6 places and 10 a second', async () => {
      const bench = await open({
        sandbox: { limits: { capacity: 6, drainPerSecond: 10 }, switches: { drain: 'continuous' } },
        env: { BRIDGE_LIMITS: '6/10' },
      })
      const sent = await Promise.all(ids(300).map((i) => bench.send(addDeal(`limited ${i}`))))
      for (const id of sent) expect((await bench.reply(id, 20_000)).body.outcome).toBe('done')
      expect(bench.sandbox.stats().writes).toBe(300)
      await bench.account()
    })

    it('believes the portal when another program shares its limit', async () => {
      const bench = await open({
        sandbox: { limits: { capacity: 5, drainPerSecond: 5 }, switches: { drain: 'continuous' } },
        env: { BRIDGE_LIMITS: '5/5' },
      })
      for (let i = 0; i < 10; i++) await fetch(`${bench.sandbox.webhookUrl}server.time`)
      const sent = await Promise.all(ids(20).map((i) => bench.send(addDeal(`shared ${i}`))))
      for (const id of sent)
        expect((await bench.reply(id)).body).toMatchObject({ outcome: 'done', attempts: 1 })
      await bench.account({ overLimit: true })
    })

    it('answers every command when the portal stays away longer than it waits', async () => {
      const bench = await open({ env: { BRIDGE_PORTAL_WAIT: '1' } })
      bench.sandbox.change({ stopped: true })
      const sent = await Promise.all(ids(30).map((i) => bench.send(addDeal(`away ${i}`))))
      for (const id of sent) {
        expect((await bench.reply(id)).body).toMatchObject({
          outcome: 'failed',
          error: { code: 'PORTAL_DELETED' },
        })
      }
      const later = await bench.ask(addDeal('also away'))
      expect(later.body.outcome).toBe('failed')
      expect(bench.sandbox.stats().writes).toBe(0)
      await bench.account()
    })

    it('keeps the order of commands with one order key', async () => {
      const bench = await open()
      const step = (i: number) => ({
        method: 'crm.deal.update',
        params: { id: 1, fields: { TITLE: `step ${i}` } },
        orderKey: 'deal 1',
      })
      for (const i of ids(20)) await bench.send(step(i))
      await bench.account()
      const titles = bench.sandbox.stats(undefined, true).log?.map(({ title }) => title)
      expect(titles).toEqual(ids(20).map((i) => `step ${i}`))
    })

    it('answers a command whose deadline passed while the portal was slow', async () => {
      const bench = await open({ sandbox: { latencyMs: 1200 }, env: { BRIDGE_MAX_IN_FLIGHT: '1' } })
      const first = await bench.send({ method: 'server.time' })
      await eventually(() => expect(bench.sandbox.stats().requests).toBe(1))
      const late = await bench.ask(addDeal('late', { deadlineMs: 50 }))
      expect(late.body).toMatchObject({
        outcome: 'failed',
        status_code: 504,
        error: { code: 'DEADLINE_EXCEEDED' },
      })
      expect((await bench.reply(first)).body.outcome).toBe('done')
      expect(bench.sandbox.stats().writes).toBe(0)
      await bench.account()
    })

    it('keeps a reply that no queue takes among the dead letters, and goes on', async () => {
      const bench = await open()
      const id = await bench.send(addDeal('no way back'), { replyTo: `${bench.replyQueue}.missing` })
      await eventually(async () => expect(await bench.dead()).toHaveLength(1))
      expect(bench.sandbox.stats().writes).toBe(1)
      expect(bench.logged('dead.kept')).toMatchObject([{ reason: 'REPLY_UNROUTABLE' }])
      expect(bench.repliesTo(id)).toEqual([])
      expect((await bench.ask({ method: 'server.time' })).body.outcome).toBe('done')
      expect(await bench.tool.queueInfo(bench.commandQueue)).toMatchObject({ messages: 0 })
    })
  })

  describe.skipIf(skip)(`the ledger ${name}`, () => {
    async function open(): Promise<Bench> {
      const bench = await openBench({ broker: kind })
      onTestFinished(() => bench[Symbol.asyncDispose]())
      return bench
    }

    it('answers a write that comes again, and does not run it', async () => {
      const bench = await open()
      const command = addDeal('only once')
      const first = await bench.ask(command, { messageId: 'm-1' })
      await bench.send(command, { messageId: 'm-1' })
      await eventually(() => expect(bench.repliesTo('m-1')).toHaveLength(2))
      expect(bench.repliesTo('m-1')[1]!.body).toEqual(first.body)
      expect(bench.sandbox.stats().writes).toBe(1)
      await bench.account({ twice: true })
    })

    it('runs a write once that was published twice at the same moment', async () => {
      const bench = await open()
      bench.sandbox.change({ latencyMs: 50 })
      const command = addDeal('hasty')
      await Promise.all([
        bench.send(command, { messageId: 'm-5' }),
        bench.send(command, { messageId: 'm-5' }),
        bench.send(addDeal('other'), { messageId: 'm-5' }),
      ])
      await eventually(() => expect(bench.repliesTo('m-5')).toHaveLength(3))
      const outcomes = bench.repliesTo('m-5').map(({ body }) => body.outcome)
      expect(outcomes.sort()).toEqual(['done', 'done', 'failed'])
      expect(bench.sandbox.stats().writes).toBe(1)
    })

    it('refuses another write under the same id, and keeps the first answer', async () => {
      const bench = await open()
      await bench.ask(addDeal('first'), { messageId: 'm-2' })
      await bench.send(addDeal('second'), { messageId: 'm-2' })
      await eventually(() => expect(bench.repliesTo('m-2')).toHaveLength(2))
      expect(bench.repliesTo('m-2')[1]!.body).toMatchObject({
        outcome: 'failed',
        status_code: 422,
        error: { code: 'MESSAGE_ID_REUSED' },
      })
      await bench.send(addDeal('first'), { messageId: 'm-2' })
      await eventually(() => expect(bench.repliesTo('m-2')).toHaveLength(3))
      expect(bench.repliesTo('m-2')[2]!.body.outcome).toBe('done')
      expect(bench.sandbox.stats().writes).toBe(1)
    })

    it('lets a write that the portal refused be sent again under its id', async () => {
      const bench = await open()
      bench.sandbox.fault([
        {
          kind: 'refuse',
          match: { method: 'crm.deal.add' },
          error: { error: 'ERROR_CORE', error_description: '' },
        },
      ])
      const refused = await bench.ask(addDeal('again'), { messageId: 'm-3' })
      expect(refused.body.outcome).toBe('failed')
      await bench.send(addDeal('again'), { messageId: 'm-3' })
      await eventually(() => expect(bench.repliesTo('m-3')).toHaveLength(2))
      expect(bench.repliesTo('m-3')[1]!.body.outcome).toBe('done')
      expect(bench.sandbox.stats().writes).toBe(1)
    })

    it('remembers over a restart', async () => {
      const bench = await open()
      await bench.ask(addDeal('kept'), { messageId: 'm-4' })
      expect(await bench.service.stop()).toBe(true)
      await bench.start()
      await bench.send(addDeal('kept'), { messageId: 'm-4' })
      await eventually(() => expect(bench.repliesTo('m-4')).toHaveLength(2))
      expect(bench.sandbox.stats().writes).toBe(1)
    })
  })
}
