import { describe, expect, it } from 'vitest'
import { BadProxy } from '../brokers/proxy.ts'
import { eventually } from '../conformance/broker.ts'
import { BROKERS } from '../support/bridge.ts'
import { amqpUrl } from '../support/engines.ts'
import { CLIENT_ID, type EventBench, openEventBench } from '../support/events.ts'
import { bindOffline, changeDeals, drained, nudge } from '../support/offline.ts'

const numbered = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `m${from + index}`)

function say({ sandbox }: EventBench, commands: readonly string[]): void {
  for (const command of commands) sandbox.push({ do: 'send', command, clientId: CLIENT_ID })
}

/** What push messages said, each once, in the order of arrival. */
function heard({ consumed }: EventBench): string[] {
  const ours = consumed.filter(({ body }) => body.kind === 'push')
  return [...new Map(ours.map(({ body }) => [body.key as string, body.event as string])).values()]
}

async function connected({ sandbox }: EventBench): Promise<void> {
  await eventually(() => expect(sandbox.pushState().connections).toHaveLength(1), 30_000)
}

for (const { name, kind, skip } of BROKERS) {
  describe.skipIf(skip)(`push messages ${name}`, () => {
    it('arrive in order over a cut connection, a broker that is away and a new start of the service', async () => {
      const proxy = kind === 'amqp' ? await BadProxy.open(amqpUrl!) : undefined
      const bench = await openEventBench({
        broker: kind,
        ...(proxy === undefined ? {} : { brokerUrl: proxy.url }),
      })
      await connected(bench)
      say(bench, numbered(1, 20))
      await eventually(() => expect(heard(bench)).toEqual(numbered(1, 20)), 10_000)
      bench.sandbox.push({ do: 'cut' })
      say(bench, numbered(21, 40))
      await eventually(() => expect(heard(bench)).toEqual(numbered(1, 40)), 20_000)
      if (proxy !== undefined) {
        proxy.refuse = true
        proxy.reset()
      }
      say(bench, numbered(41, 60))
      if (proxy !== undefined) proxy.refuse = false
      await eventually(() => expect(heard(bench)).toEqual(numbered(1, 60)), 30_000)
      await bench.service.stop()
      say(bench, numbered(61, 80))
      await bench.start()
      await eventually(() => expect(heard(bench)).toEqual(numbered(1, 80)), 30_000)
      await proxy?.close()
    }, 120_000)

    it('have offline events fetched at once, although nothing is bound for the call', async () => {
      const bench = await openEventBench({ broker: kind })
      await connected(bench)
      await bindOffline(bench)
      await nudge(bench)
      await eventually(async () => {
        const pumps = await bench.store.db.selectFrom('offline_pumps').selectAll().execute()
        expect(pumps.map(({ idle_polls: polls }) => polls > 0)).toEqual([true])
      }, 10_000)
      await changeDeals(bench, 7, 3)
      await drained(bench, 30_000)
      expect(await bench.events('ONCRMDEALUPDATE', 3)).toHaveLength(3)
    }, 60_000)
  })
}
