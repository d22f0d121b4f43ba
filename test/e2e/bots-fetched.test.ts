import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { BadProxy } from '../brokers/proxy.ts'
import { run } from '../cli/support/command-line.ts'
import { eventually } from '../conformance/broker.ts'
import { BROKERS } from '../support/bridge.ts'
import { needsBuilt } from '../support/built.ts'
import { runBuilt } from '../support/built-service.ts'
import { amqpUrl } from '../support/engines.ts'
import { type EventBench, openEventBench } from '../support/events.ts'

needsBuilt()

/** What `events apply` says to a portal that cannot reach the bridge. */
const FILE = `
portals: '*'
base: https://bridge.nowhere.example
bots: [{ code: helper, name: Helper, fetch: true }]
`

async function apply({ folder, env }: EventBench, file: string): Promise<void> {
  writeFileSync(join(folder, 'bots.yaml'), file)
  const applied = await run(['events', 'apply', 'bots.yaml'], {
    env: env as Record<string, string>,
    cwd: folder,
  })
  expect(applied, applied.err).toMatchObject({ code: 0 })
}

const helper = ({ sandbox }: EventBench) => sandbox.work().bots.find(({ code }) => code === 'helper')

async function say(bench: EventBench, ...texts: string[]): Promise<void> {
  const botId = helper(bench)?.id ?? 0
  for (const text of texts) await bench.sandbox.trigger({ do: 'say', botId, text, userId: 2 })
}

/** What was said to the bot, each once, in the order of arrival. */
function heard({ consumed }: EventBench): string[] {
  const ours = consumed.filter(({ body }) => body.event === 'ONIMBOTV2MESSAGEADD')
  return [...new Map(ours.map(({ body }) => [body.key as string, body.data.message.text as string])).values()]
}

for (const { name, kind, skip } of BROKERS) {
  describe.skipIf(skip)(`a bot of a portal that cannot reach the bridge, ${name}`, () => {
    it('is heard, over a broker that is away and a new start of the service, and nothing is confirmed too early', async () => {
      const proxy = kind === 'amqp' ? await BadProxy.open(amqpUrl!) : undefined
      const bench = await openEventBench({
        broker: kind,
        env: { BRIDGE_BOT_POLL: '1' },
        ...(proxy === undefined ? {} : { brokerUrl: proxy.url }),
      })
      await apply(bench, FILE)
      expect(helper(bench)).toMatchObject({ version: 2, eventMode: 'fetch' })
      await say(bench, 'one', 'two')
      await eventually(() => expect(heard(bench)).toEqual(['one', 'two']), 20_000)
      expect(bench.consumed.find(({ body }) => body.kind === 'bot')).toMatchObject({
        routingKey: `bot.${bench.memberId}.onimbotv2messageadd`,
        body: { portal: { member_id: bench.memberId }, actor: { user_id: '2' }, synthetic: false },
      })
      await eventually(() => expect(helper(bench)?.queued).toBe(0), 10_000)
      if (proxy !== undefined) {
        proxy.refuse = true
        proxy.reset()
        await say(bench, 'three')
        await sleep(3000) // Nothing shows that nothing is confirmed but time going by.
        expect(helper(bench)?.queued).toBe(1)
        proxy.refuse = false
      } else await say(bench, 'three')
      await eventually(() => expect(heard(bench)).toEqual(['one', 'two', 'three']), 40_000)
      await bench.service.stop()
      expect(helper(bench)?.queued).toBe(0)
      await say(bench, 'four')
      await bench.start()
      await eventually(() => expect(heard(bench)).toEqual(['one', 'two', 'three', 'four']), 30_000)
      expect(bench.sandbox.events().filter(({ event }) => event.startsWith('ONIMBOT'))).toEqual([])
      await proxy?.close()
    }, 150_000)
  })
}

it('a bot gets an address, and loses it again, as the file says', async () => {
  const bench = await openEventBench({ env: { BRIDGE_BOT_POLL: '1' } })
  const posted = FILE.replace(', fetch: true', '').replace(
    'https://bridge.nowhere.example',
    bench.service.url,
  )
  await apply(bench, posted)
  expect(helper(bench)).toMatchObject({ eventMode: 'webhook' })
  await say(bench, 'posted')
  await eventually(() => expect(heard(bench)).toEqual(['posted']), 20_000)
  await apply(bench, FILE)
  expect(helper(bench)).toMatchObject({ eventMode: 'fetch' })
  await say(bench, 'fetched')
  await eventually(() => expect(heard(bench)).toEqual(['posted', 'fetched']), 30_000)
}, 80_000)

it('a service that is killed again and again loses nothing that was said, and confirms nothing that is not on a queue', async () => {
  const bench = await openEventBench({ env: { BRIDGE_BOT_POLL: '1' } })
  await apply(bench, FILE)
  await bench.service.stop()
  const texts = Array.from({ length: 500 }, (_, i) => `m${i + 1}`)
  await say(bench, ...texts)
  const queued = (): number => helper(bench)?.queued ?? 0
  let halfway = 0
  for (let kill = 0; kill < 3; kill++) {
    const before = bench.consumed.length
    const { child, exit } = await runBuilt(bench)
    // Whoever was killed has the right to these bots for ten seconds more.
    await eventually(() => expect(bench.consumed.length).toBeGreaterThan(before), 20_000)
    await sleep(kill * 400) // Somewhere between publishing and confirming, each time elsewhere.
    child.kill('SIGKILL')
    await exit
    const confirmed = texts.slice(0, texts.length - queued())
    if (heard(bench).length > 0 && queued() > 0) halfway++
    await eventually(() => expect(heard(bench)).toEqual(expect.arrayContaining(confirmed)))
  }
  await bench.start()
  await eventually(() => expect(heard(bench)).toEqual(texts), 40_000)
  await eventually(() => expect(queued()).toBe(0), 10_000)
  expect(halfway, 'kills in the middle').toBeGreaterThan(0)
}, 150_000)
