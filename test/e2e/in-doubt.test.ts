import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Broker } from '../../src/brokers/broker.ts'
import { addDeal, type Bench, BROKERS, openBench } from '../support/bridge.ts'

const FOUND = { outcome: 'done', verified: true, status_code: 200 }

for (const broker of BROKERS) {
  describe.skipIf(broker.skip)(`a write whose answer was lost, ${broker.name}`, () => {
    let bench: Bench
    beforeAll(async () => {
      bench = await openBench({ broker: broker.kind, env: { BRIDGE_QUIET_PERIOD: '1' } })
    })
    afterAll(async () => {
      await bench.account()
      await bench[Symbol.asyncDispose]()
    })

    it('is found by its mark when it was carried out, and answered as if nothing had happened', async () => {
      bench.sandbox.fault([{ kind: 'reset-after', match: { method: 'crm.deal.add' } }])
      const { body } = await bench.ask(addDeal('Found by its mark', { verify: 'origin' }))
      expect(body).toMatchObject(FOUND)
      const shown = await bench.ask({ method: 'crm.deal.get', params: { id: body.result } })
      expect(shown.body.result).toMatchObject({ TITLE: 'Found by its mark', ORIGINATOR_ID: 'b24-bridge' })
    })

    it('is sent again when it is not there, and exists once', async () => {
      bench.sandbox.fault([{ kind: 'reset', match: { method: 'crm.deal.add' } }])
      const { body } = await bench.ask(addDeal('Sent once more', { verify: 'origin' }))
      expect(body).toMatchObject({ outcome: 'done', status_code: 200 })
      expect(body.verified).toBeUndefined()
    })

    it('is found by a list that its sender names', async () => {
      bench.sandbox.fault([{ kind: 'reset-after', match: { method: 'crm.contact.add' } }])
      const { body } = await bench.ask({
        method: 'crm.contact.add',
        params: { fields: { NAME: 'Unmistakable' } },
        verify: { method: 'crm.contact.list', params: { filter: { '=NAME': 'Unmistakable' } } },
      })
      expect(body).toMatchObject(FOUND)
    })

    it('is answered as unknown when the lookup fails as well, and as unknown without a recipe', async () => {
      bench.sandbox.fault([
        { kind: 'reset-after', match: { method: 'crm.deal.add' }, times: 2 },
        {
          kind: 'refuse',
          match: { method: 'crm.deal.list' },
          error: { error: 'ACCESS_DENIED', error_description: '' },
        },
      ])
      const looked = await bench.ask(addDeal('Nobody may look', { verify: 'origin' }))
      const plain = await bench.ask(addDeal('Nobody asked to look'))
      expect([looked.body.outcome, plain.body.outcome]).toEqual(['unknown', 'unknown'])
    })

    it('is looked up by the next process when the first one ends in the quiet period', async () => {
      await bench.service.stop()
      const { BRIDGE_QUIET_PERIOD, ...env } = bench.env
      bench.service = await bench.start({ ...env, BRIDGE_QUIET_PERIOD: '4' })
      bench.sandbox.fault([{ kind: 'reset-after', match: { method: 'crm.deal.add' } }])
      const id = await bench.send(addDeal('Begun by another', { verify: 'origin' }))
      await expect
        .poll(() => bench.sandbox.stats(undefined, true).log?.at(-1)?.title)
        .toBe('Begun by another')
      await bench.service.stop()
      expect(bench.repliesTo(id)).toEqual([])
      await bench.start()
      expect((await bench.reply(id)).body).toMatchObject(FOUND)
    })

    it('waits for a long quiet period outside of the process, on a delay queue', async () => {
      await bench.service.stop()
      await bench.start({ ...bench.env, BRIDGE_QUIET_PERIOD: '7' })
      bench.sandbox.fault([{ kind: 'reset-after', match: { method: 'crm.deal.add' } }])
      const id = await bench.send(addDeal('Comes back later', { verify: 'origin' }))
      await expect
        .poll(() => bench.sandbox.stats(undefined, true).log?.at(-1)?.title)
        .toBe('Comes back later')
      await expect.poll(() => bench.service.inHand()).toBe(0)
      expect(bench.repliesTo(id)).toEqual([])
      expect((await bench.reply(id, 30_000)).body).toMatchObject(FOUND)
    }, 60_000)

    it('is answered where the command says, and nowhere when it says so', async () => {
      const mine = `b24.test.mine.${randomUUID()}`
      const queues = [{ name: mine, durable: true, type: 'quorum' }] as const
      await bench.tool.declare({ mode: 'declare', exchanges: [], queues, bindings: [] })
      const command = async (reply: string | false): Promise<string> => {
        const messageId = randomUUID()
        const body = Buffer.from(JSON.stringify({ method: 'profile', reply }))
        await bench.tool.publish(
          { exchange: '', routingKey: bench.commandQueue },
          { body, headers: {}, messageId },
        )
        return messageId
      }
      const ids = [await command(false), await command(mine)]
      let reply: Awaited<ReturnType<Broker['get']>>
      await expect.poll(async () => (reply = await bench.tool.get(mine))).toBeDefined()
      reply?.ack()
      expect(reply?.message.correlationId).toBe(ids[1])
      await expect
        .poll(() =>
          bench.logged('command.settled').filter(({ messageId }) => ids.includes(String(messageId))),
        )
        .toHaveLength(2)
      expect(ids.flatMap((id) => bench.repliesTo(id))).toEqual([])
      await bench.tool.deleteQueue(mine)
    })
  })
}
