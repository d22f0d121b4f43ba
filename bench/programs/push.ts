// Many connections to a push server, each with its way to the broker. Prints the memory of one when all are open, then
// how long it took from the first of the messages to the last.
import { pathToFileURL } from 'node:url'

const [root, count, messages, url, token] = process.argv.slice(2) as [string, string, string, string, string]
const connectionCount = Number(count)
const expected = connectionCount * Number(messages)

const load = async <T>(path: string): Promise<T> =>
  (await import(pathToFileURL(`${root}/dist/${path}`).href)) as T

interface Client {
  open(options: unknown): unknown
}
interface Flow {
  push(messages: unknown): void
}
const { createPushClient } = await load<{ createPushClient: (options: unknown) => Client }>(
  'client/push/client.js',
)
const { parsePushConfig } = await load<{ parsePushConfig: (result: unknown, how: unknown) => unknown }>(
  'client/push/config.js',
)
const { Outflow } = await load<{ Outflow: new (options: unknown) => Flow }>('bridge/events/push/outflow.js')
const { encodeEvent } = await load<{ encodeEvent: (event: unknown) => unknown }>('bridge/events/message.js')

const client = createPushClient({ now: Date.now, random: Math.random })
const answer = await fetch(`${url}/rest/pull.application.config.get?auth=${token}`)
const { result } = (await answer.json()) as { result: unknown }
let open = 0
let handled = 0
let firstAt = 0
let lastAt = 0
const progress = { moved: (): void => undefined }

function listen(index: number): void {
  const flow = new Outflow({
    key: { memberId: `portal-${index}`, clientId: 'local.bench' },
    domain: () => `portal-${index}.bitrix24.com`,
    outlet: { publish: async (event: unknown) => void encodeEvent(event) },
    position: undefined,
    now: Date.now,
    onOffline: () => undefined,
    onBehind: () => undefined,
    log: () => undefined,
    onHandled() {
      lastAt = performance.now()
      if (handled++ === 0) firstAt = lastAt
      if (handled >= expected) progress.moved()
    },
  })
  client.open({
    ask: async () => parsePushConfig(structuredClone(result), { secure: false }),
    onMessages: (some: unknown) => flow.push(some),
    onConnected() {
      open++
      progress.moved()
    },
    report: () => undefined,
  })
}

async function until(reached: () => boolean): Promise<void> {
  while (!reached())
    await new Promise<void>((resolve) => {
      progress.moved = resolve
    })
}

function memory(): { heap: number; rss: number } {
  for (let i = 0; i < 4; i++) globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed + external, rss }
}

// The first twenty bring the code in.
for (let i = 0; i < 20; i++) listen(i)
await until(() => open === 20)
const before = memory()
const from = performance.now()
for (let i = 20; i < connectionCount; i++) listen(i)
await until(() => open === connectionCount)
const openMs = performance.now() - from
const after = memory()
const added = connectionCount - 20
console.log(
  JSON.stringify({
    heapKb: (after.heap - before.heap) / 1024 / added,
    rssKb: Math.max(0, after.rss - before.rss) / 1024 / added,
    openMs,
  }),
)
await until(() => handled >= expected)
console.log(JSON.stringify({ ms: lastAt - firstAt, handled }))
process.exit(0)
