import pino from 'pino'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readConfig } from '../../src/config/read.ts'
import { type Service, startService } from '../../src/service.ts'
import { openStore } from '../../src/stores/open.ts'
import { saveWebhook } from '../../src/stores/queries/webhooks.ts'
import { unlockStore } from '../../src/stores/unlock.ts'
import { type Bench, BROKERS, openBench } from '../support/bridge.ts'
import { DATABASES } from '../support/databases.ts'
import { amqpNote, amqpUrl } from '../support/engines.ts'

const SECRET_KEY = `k1:${Buffer.alloc(32, 7).toString('base64')}`

/** Changes one deal again and again, and reads it in between; all under one order key. Gives the ids. */
async function sendInOrder(
  bench: Bench,
  { portal, queue = bench.commandQueue }: { readonly portal?: string; readonly queue?: string },
  from: number,
  to: number,
): Promise<string[]> {
  const ids: string[] = []
  const command = { ...(portal === undefined ? {} : { portal }), orderKey: 'deal 1' }
  for (let number = from; number < to; number++) {
    const fields = { TITLE: `Turn ${number}` }
    ids.push(
      await bench.send({ ...command, method: 'crm.deal.update', params: { id: 1, fields } }, {}, queue),
    )
    ids.push(await bench.send({ ...command, method: 'crm.deal.get', params: { id: 1 } }, {}, queue))
  }
  return ids
}

/** Each read shows the write before it. */
async function expectOrder(bench: Bench, ids: readonly string[]): Promise<void> {
  for (const [at, id] of ids.entries()) {
    const { body } = await bench.reply(id, 60_000)
    expect(body, `reply ${at}`).toMatchObject({ outcome: 'done' })
    if (at % 2 === 1) expect(body.result.TITLE).toBe(`Turn ${Math.floor(at / 2)}`)
  }
}

for (const broker of BROKERS) {
  describe.skipIf(broker.skip)(`commands with one order key, ${broker.name}`, () => {
    it('are carried out in order of arrival, reads among them, beside another portal and over a restart', async () => {
      const bench = await openBench({
        broker: broker.kind,
        sandbox: { host: '0.0.0.0', latencyMs: 5 },
        env: { BRIDGE_SECRET_KEY: SECRET_KEY, BRIDGE_PREFETCH: '20' },
        started: false,
      })
      onTestFinished(() => bench[Symbol.asyncDispose]())
      const portal = `127.0.0.2:${new URL(bench.sandbox.url).port}`
      const address = bench.env.BRIDGE_STORE as string
      const store = await openStore(address, { now: Date.now, exclusive: false })
      const secrets = await unlockStore(store, {
        address,
        given: SECRET_KEY,
        production: true,
        now: Date.now,
      })
      const webhook = { url: `http://${portal}/rest/1/s3cr3t/`, domain: portal, userId: '1', name: portal }
      await saveWebhook(store.db, secrets, webhook, Date.now())
      await store.close()
      await bench.start()
      await bench.ask({ method: 'profile' })
      const first = await sendInOrder(bench, { portal }, 0, 40)
      await bench.reply(first[10] as string)
      await bench.service.stop()
      const second = await sendInOrder(bench, { portal }, 40, 50)
      await bench.start()
      await expectOrder(bench, [...first, ...second])
      await bench.account({ twice: true })
      await bench.tool.deleteQueue(`${bench.commandQueue}.lane.${portal}`)
    }, 120_000)
  })
}

const [server] = DATABASES.filter(({ name, skip }) => name !== 'SQLite' && !skip)
const skip = server === undefined || amqpUrl === undefined
describe.skipIf(skip)(`commands with one order key, on several instances${amqpNote}`, () => {
  it('are carried out in order of arrival, while instances come and go', async () => {
    const place = await (server as NonNullable<typeof server>).create()
    onTestFinished(() => place.drop())
    const bench = await openBench({
      broker: 'amqp',
      sandbox: { latencyMs: 5 },
      env: { BRIDGE_STORE: place.url, BRIDGE_SECRET_KEY: SECRET_KEY, BRIDGE_PREFETCH: '20' },
    })
    onTestFinished(() => bench[Symbol.asyncDispose]())
    const queue = `${bench.commandQueue}.ordered`
    const another = (): Promise<Service> =>
      startService(readConfig({ env: bench.env, cwd: bench.folder }), { logger: pino({ level: 'silent' }) })
    const ids = await sendInOrder(bench, { queue }, 0, 30)
    const others = [await another()]
    ids.push(...(await sendInOrder(bench, { queue }, 30, 60)))
    await bench.service.stop()
    ids.push(...(await sendInOrder(bench, { queue }, 60, 80)))
    others.push(await another())
    await others[0]?.stop()
    ids.push(...(await sendInOrder(bench, { queue }, 80, 100)))
    await expectOrder(bench, ids)
    await others[1]?.stop()
    await bench.account({ twice: true })
    const { host } = new URL(bench.sandbox.url)
    await bench.tool.deleteQueue(`${bench.commandQueue}.lane.${host}`)
  }, 120_000)
})
