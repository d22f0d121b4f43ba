import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openStore } from '../../src/stores/open.ts'
import { listLetters } from '../../src/stores/queries/dead-letters.ts'
import { BadProxy } from '../brokers/proxy.ts'
import { eventually } from '../conformance/broker.ts'
import { addDeal, type Bench, BROKERS, openBench } from '../support/bridge.ts'
import { needsBuilt } from '../support/built.ts'
import { runBuilt as run } from '../support/built-service.ts'
import { amqpUrl } from '../support/engines.ts'
import { openEventBench } from '../support/events.ts'

needsBuilt()

for (const { name, kind, skip } of BROKERS) {
  describe.skipIf(skip)(`the built service ${name}`, () => {
    async function open(more: Parameters<typeof openBench>[0]['env'] = {}): Promise<Bench> {
      const bench = await openBench({
        broker: kind,
        started: false,
        sandbox: { latencyMs: 15 },
        env: { BRIDGE_PREFETCH: '60', BRIDGE_MAX_IN_FLIGHT: '3', ...more },
      })
      onTestFinished(() => bench[Symbol.asyncDispose]())
      return bench
    }

    it('killed again and again under a load of writes loses none and doubles none', async () => {
      const bench = await open()
      const titles = new Map<string, string>()
      let output = ''
      let producing = true
      const producer = (async () => {
        for (let i = 0; producing || i < 300; i++) {
          const title = `crash ${i}`
          titles.set(await bench.send(addDeal(title)), title)
          if (i % 20 === 19) await sleep(20) // A load that lasts over all the kills.
        }
      })()
      for (let kill = 0; kill < 5; kill++) {
        const service = await run(bench)
        await sleep(100 + kill * 60) // Somewhere in the middle of its work, each time elsewhere.
        service.child.kill('SIGKILL')
        await service.exit
        output += service.output()
      }
      producing = false
      await producer
      const last = await run(bench)
      await eventually(() => {
        expect([...titles.keys()].filter((id) => bench.repliesTo(id).length === 0)).toEqual([])
      }, 25_000)
      last.child.kill('SIGTERM')
      expect(await last.exit).toEqual([0, null])

      const written = new Map<string, number>()
      for (const { title } of bench.sandbox.stats(undefined, true).log ?? []) {
        written.set(String(title), (written.get(String(title)) ?? 0) + 1)
      }
      for (const [id, title] of titles) {
        const outcomes = new Set(bench.repliesTo(id).map(({ body }) => body.outcome))
        const times = written.get(title) ?? 0
        expect(times, `${title}: written`).toBeLessThanOrEqual(1)
        expect(outcomes.size, `${title}: ${[...outcomes].join()}`).toBe(1)
        if (outcomes.has('done')) expect(times, `${title}: done, but not written`).toBe(1)
        expect(outcomes.has('failed'), `${title}: failed`).toBe(false)
      }
      expect(output + last.output()).not.toContain('s3cr3t')
      await bench.account({ twice: true })
    }, 60_000)

    it('killed again and again while it sets commands aside keeps each as one dead letter', async () => {
      const bench = await open({ BRIDGE_DEAD_LETTERS: 'store' })
      const sent = new Set<string>()
      for (let kill = 0; kill < 4; kill++) {
        for (let i = 0; i < 60; i++) sent.add(await bench.send(`not json ${kill} ${i}`))
        const service = await run(bench)
        // Somewhere between reply, dead letter queue, store and acknowledgement, each time elsewhere.
        await sleep(20 + kill * 40)
        service.child.kill('SIGKILL')
        await service.exit
      }
      const last = await run(bench)
      await eventually(async () => {
        for (const queue of [bench.commandQueue, bench.deadQueue])
          expect(await bench.tool.queueInfo(queue)).toMatchObject({ messages: 0 })
      }, 25_000)
      await eventually(
        () => expect([...sent].filter((id) => bench.repliesTo(id).length === 0)).toEqual([]),
        25_000,
      )
      last.child.kill('SIGTERM')
      expect(await last.exit).toEqual([0, null])
      const store = await openStore(bench.env.BRIDGE_STORE ?? '', { now: Date.now, exclusive: false })
      const { letters } = await listLetters(store.db, {}, { limit: 1000 })
      await store.close()
      const kept = letters.map(({ messageId }) => messageId)
      expect(kept).toHaveLength(sent.size)
      expect(new Set(kept)).toEqual(sent)
    }, 60_000)

    it('drains on SIGTERM: exit 0, what was not sent is back on the queue, each command has one reply', async () => {
      const bench = await open({ BRIDGE_MAX_IN_FLIGHT: '1' })
      const sent: string[] = []
      for (let i = 0; i < 400; i++) sent.push(await bench.send(addDeal(`drain ${i}`)))
      const list = await bench.send({ action: 'list', method: 'crm.contact.list', params: {} })
      const service = await run(bench)
      await eventually(() => expect(bench.replies.length).toBeGreaterThan(0))
      const began = performance.now()
      service.child.kill('SIGTERM')
      expect(await service.exit).toEqual([0, null])
      expect(performance.now() - began).toBeLessThan(5000)
      const answered = bench.replies.length
      expect(answered).toBeLessThan(400)
      await eventually(async () => {
        const left = (await bench.tool.queueInfo(bench.commandQueue))?.messages ?? 0
        expect(left + bench.replies.length).toBe(401)
      })
      await bench.start()
      for (const id of [...sent, list]) expect((await bench.reply(id)).body.outcome).toBe('done')
      expect(bench.sandbox.stats().writes).toBe(400)
      await bench.account()
    }, 30_000)

    it('ends with exit code 1 when what is under way does not end within the drain time', async () => {
      const bench = await open({ BRIDGE_DRAIN_TIMEOUT: '0.3', BRIDGE_REQUEST_TIMEOUT: '30' })
      bench.sandbox.fault([{ kind: 'hang', times: 0, match: { method: 'crm.deal.add' } }])
      const id = await bench.send(addDeal('hangs'))
      const service = await run(bench)
      await eventually(() => expect(bench.sandbox.stats().faults.hang).toBe(1))
      service.child.kill('SIGTERM')
      expect((await service.exit)[0]).toBe(1)
      bench.sandbox.fault([])
      await bench.start()
      expect((await bench.reply(id)).body).toMatchObject({ outcome: 'unknown' })
      expect(bench.sandbox.stats().writes).toBe(0)
      await bench.account({ twice: true })
    }, 30_000)
  })
}

describe.skipIf(BROKERS[1].skip)('the built service with a wrong password for RabbitMQ', () => {
  it('waits, says why, and never says the password', async () => {
    const bench = await openBench({ broker: 'amqp', started: false })
    onTestFinished(() => bench[Symbol.asyncDispose]())
    const url = new URL(bench.env.BRIDGE_BROKER!)
    url.password = 'wr0ng-passw0rd'
    // Two addresses, as for a cluster.
    const env = { ...bench.env, BRIDGE_BROKER: `${url.href},${url.href}` }
    const service = await run({ folder: bench.folder, env }, 'ACCESS_REFUSED')
    expect(service.output()).not.toContain('wr0ng-passw0rd')
    service.child.kill('SIGKILL')
    await service.exit
  })
})

describe.skipIf(BROKERS[1].skip)('events that the built service has answered', () => {
  /** Answered by a process that sees no broker, and still in the store. */
  async function answered(count: number) {
    const proxy = await BadProxy.open(amqpUrl!)
    onTestFinished(() => proxy.close())
    const bench = await openEventBench({ broker: 'amqp', brokerUrl: proxy.url })
    await bench.service.stop()
    proxy.refuse = true
    const service = await run(bench, 'service.listening')
    const { url } = JSON.parse(/.*service\.listening.*/.exec(service.output())?.[0] ?? '{}') as {
      url: string
    }
    for (let id = 1; id <= count; id++) {
      const { status } = await bench.post(bench.deal(id), { path: `${url}/b24/events` })
      expect(status).toBe(200)
    }
    proxy.refuse = false
    return { bench, service, wanted: Array.from({ length: count }, (_, index) => index + 1) }
  }

  it('are published in order after it was killed while the broker was away', async () => {
    const { bench, service, wanted } = await answered(40)
    service.child.kill('SIGKILL')
    await service.exit
    await bench.start()
    await eventually(() => expect(bench.deals()).toEqual(wanted), 20_000)
    expect(bench.consumed.filter(({ body }) => body.event === 'ONCRMDEALUPDATE')).toHaveLength(40)
  }, 60_000)

  it('are published in order after it was killed in the middle of publishing them', async () => {
    const { bench, service, wanted } = await answered(150)
    await eventually(() => expect(bench.deals().length).toBeGreaterThan(0), 20_000)
    service.child.kill('SIGKILL')
    await service.exit
    await bench.start()
    await eventually(() => expect(bench.deals()).toEqual(wanted), 30_000)
  }, 60_000)
})
