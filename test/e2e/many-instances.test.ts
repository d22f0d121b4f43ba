import pino from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/read.ts'
import { type Service, startService } from '../../src/service.ts'
import { addDeal, type Bench, openBench } from '../support/bridge.ts'
import { DATABASES } from '../support/databases.ts'
import { amqpNote, amqpUrl } from '../support/engines.ts'

const INSTANCES = 3

for (const database of DATABASES.filter(({ name }) => name !== 'SQLite')) {
  const skip = database.skip || amqpUrl === undefined
  describe.skipIf(skip)(`${INSTANCES} instances on ${database.name}${database.note}${amqpNote}`, () => {
    let place: Awaited<ReturnType<typeof database.create>>
    let bench: Bench
    const others: Service[] = []

    beforeAll(async () => {
      place = await database.create()
      bench = await openBench({
        broker: 'amqp',
        sandbox: { limits: { capacity: 20, drainPerSecond: 20 } },
        env: {
          BRIDGE_STORE: place.url,
          BRIDGE_LIMITS: '20/20',
          BRIDGE_PREFETCH: '100',
          BRIDGE_SECRET_KEY: `k1:${Buffer.alloc(32, 7).toString('base64')}`,
        },
      })
      for (let more = 1; more < INSTANCES; more++)
        others.push(
          await startService(readConfig({ env: bench.env, cwd: bench.folder }), {
            logger: pino({ level: 'silent' }),
          }),
        )
    }, 60_000)
    afterAll(async () => {
      for (const one of others) await one.stop()
      await bench?.[Symbol.asyncDispose]()
      await place?.drop()
    }, 60_000)

    it('keep one portal below its limit together, and answer every command once', async () => {
      // Each deal has its own user field as an empty list, which no batch can carry: a request a command.
      const ids: string[] = []
      for (let number = 0; number < 120; number++)
        ids.push(
          await bench.send(
            addDeal(`Deal of all ${number}`, {
              params: { fields: { TITLE: `Deal of all ${number}`, UF_CRM_LIST: [] } },
            }),
          ),
        )
      for (let number = 0; number < 300; number++)
        ids.push(await bench.send(addDeal(`Deal in a batch ${number}`)))
      for (const id of ids) expect((await bench.reply(id, 60_000)).body).toMatchObject({ outcome: 'done' })
      await bench.account()
      const served = [bench.service, ...others].map((one) => one.lanes()[0]?.stats.requests ?? 0)
      expect(
        served.filter((requests) => requests > 0),
        'instances that sent requests',
      ).toHaveLength(INSTANCES)
    }, 120_000)

    it('all stay away from a portal that has told one of them to', async () => {
      const error = { error: 'OVERLOAD_LIMIT', error_description: 'REST API is blocked due to overload.' }
      bench.sandbox.fault([{ kind: 'refuse', error }])
      await bench.send({ method: 'profile' })
      const troubles = () => [bench.service, ...others].map((one) => one.lanes()[0]?.stats.trouble)
      await expect
        .poll(troubles, { timeout: 20_000 })
        .toEqual(Array.from({ length: INSTANCES }, () => 'OVERLOAD_LIMIT'))
    }, 30_000)
  })
}
