import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/stores/open.ts'
import { saveWebhook } from '../../src/stores/queries/webhooks.ts'
import { unlockStore } from '../../src/stores/unlock.ts'
import { eventually } from '../conformance/broker.ts'
import { addDeal, type Bench, BROKERS, openBench } from '../support/bridge.ts'

const FLOOD = 200
const OTHERS = 20

for (const broker of BROKERS) {
  describe.skipIf(broker.skip)(`a portal with a backlog, ${broker.name}`, () => {
    let bench: Bench
    let port: string
    let slow: string
    let quick: string

    beforeAll(async () => {
      bench = await openBench({
        broker: broker.kind,
        // Another host name is another portal.
        sandbox: { host: '0.0.0.0' },
        env: { BRIDGE_PREFETCH: '40', BRIDGE_REQUEST_TIMEOUT: '30', BRIDGE_DRAIN_TIMEOUT: '30' },
        started: false,
      })
      port = new URL(bench.sandbox.url).port
      slow = `127.0.0.2:${port}`
      quick = `127.0.0.3:${port}`
      const address = bench.env.BRIDGE_STORE as string
      const store = await openStore(address, { now: Date.now, exclusive: false })
      const secrets = await unlockStore(store, {
        address,
        given: undefined,
        production: false,
        now: Date.now,
      })
      for (const domain of [slow, quick]) {
        const webhook = { url: `http://${domain}/rest/1/s3cr3t/`, domain, userId: '1', name: domain }
        await saveWebhook(store.db, secrets, webhook, Date.now())
      }
      await store.close()
      await bench.start()
    })
    afterAll(async () => {
      for (const domain of [slow, quick]) await bench.tool.deleteQueue(`${bench.commandQueue}.lane.${domain}`)
      await bench.tool.deleteQueue(`${bench.commandQueue}.suspect`)
      await bench[Symbol.asyncDispose]()
    })

    it('holds up nobody else, and has every command answered once, over a restart too', async () => {
      bench.sandbox.fault([{ kind: 'slow', delayMs: 150, match: { method: 'crm.lead.add' }, times: 0 }])
      // A lane is known from its first use on.
      await bench.ask({ method: 'profile', portal: quick })
      const flood: string[] = []
      for (let number = 0; number < FLOOD; number++)
        flood.push(await bench.send({ ...addDeal(`Flood ${number}`), method: 'crm.lead.add', portal: slow }))
      const others: string[] = []
      for (let number = 0; number < OTHERS; number++)
        others.push(await bench.send(addDeal(`Other ${number}`, { portal: quick })))
      for (const id of others) expect((await bench.reply(id, 30_000)).body.outcome).toBe('done')
      const answered = flood.filter((id) => bench.repliesTo(id).length > 0)
      expect(answered.length, 'of the flood, when all others were answered').toBeLessThan(FLOOD / 2)
      expect(bench.logged('lane-queue.opened').filter(({ portal }) => portal === slow)).toHaveLength(1)

      // It survives a restart: the next process finds the queue.
      await bench.service.stop()
      // A bridge that starts takes over what others lease on the embedded broker: also replies that we are just reading.
      await eventually(async () => expect((await bench.tool.queueInfo(bench.replyQueue))?.messages).toBe(0))
      await bench.start()
      bench.sandbox.fault([])
      await eventually(() => {
        const open = flood.filter((id) => bench.repliesTo(id).length === 0)
        expect(open).toHaveLength(0)
      }, 60_000)
      const outcomes = new Set(flood.map((id) => bench.repliesTo(id)[0]?.body.outcome))
      expect([...outcomes]).toEqual(['done'])
      await bench.account()
    }, 120_000)

    it('of a portal that was down for longer than commands wait is tried again, and deadlines are kept meanwhile', async () => {
      await bench.service.stop()
      await bench.start({ ...bench.env, BRIDGE_PORTAL_WAIT: '2' })
      await bench.ask({ method: 'profile', portal: quick })
      bench.sandbox.fault([{ kind: 'status', status: 502, match: { method: 'crm.lead.list' }, times: 0 }])
      const flood: string[] = []
      for (let number = 0; number < 100; number++)
        flood.push(await bench.send({ method: 'crm.lead.list', portal: slow }))
      await eventually(async () => {
        const lane = bench.service.lanes().find(({ domain }) => domain === slow)
        expect(lane?.stats.trouble).toBeDefined()
        const aside = await bench.tool.queueInfo(`${bench.commandQueue}.lane.${slow}`)
        expect(aside?.messages).toBeGreaterThan(20)
      }, 30_000)
      const timed = await bench.send({ method: 'crm.lead.list', portal: slow, deadlineMs: 6000 })
      expect((await bench.reply(timed, 20_000)).body.error?.code).toMatch(
        /^(?:DEADLINE_EXCEEDED|PORTAL_UNREACHABLE)$/,
      )
      // Nothing of the portal is left in hand but what is tried next.
      await eventually(() => expect(bench.service.inHand()).toBeLessThanOrEqual(1), 20_000)
      bench.sandbox.fault([])
      await eventually(() => {
        expect(flood.filter((id) => bench.repliesTo(id).length === 0)).toEqual([])
      }, 60_000)
      expect((await bench.ask({ method: 'crm.lead.list', portal: slow })).body.outcome).toBe('done')
      await bench.account()
    }, 120_000)
  })
}
