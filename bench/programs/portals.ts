// A lane for each of many portals; each has carried out a call and stands idle. Prints the memory of one.
import { pathToFileURL } from 'node:url'

const [root, count] = process.argv.slice(2) as [string, string]
const portalCount = Number(count)

interface Portals {
  find(command: { credential: unknown }): Promise<{ lane: { submit(work: unknown): Promise<unknown> } }>
}
const { createPortals } = (await import(pathToFileURL(`${root}/dist/bridge/portals.js`).href)) as {
  createPortals: (options: unknown) => Portals
}
const answer = {
  status: 200,
  text: '{"result":true,"time":{"duration":0.01,"operating":0.1}}',
  location: undefined,
}
const portals = createPortals({
  defaultPortal: undefined,
  now: Date.now,
  lane: {
    transport: { post: async () => answer, close: async () => undefined },
    limit: { capacity: 50, drainPerSecond: 2 },
  },
})

async function use(index: number): Promise<void> {
  const domain = `portal-${index}.bitrix24.com`
  const credential = {
    origin: `https://${domain}`,
    domain,
    root: '/rest',
    userId: '1',
    secret: `secret${index}`,
  }
  const { lane } = await portals.find({ credential })
  await lane.submit({ calls: [{ method: 'crm.deal.get', params: { id: 1 } }] })
}

function memory(): { heap: number; rss: number } {
  for (let i = 0; i < 4; i++) globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed + external, rss }
}

// The first hundred bring the code in.
for (let i = 0; i < 100; i++) await use(portalCount + i)
const before = memory()
for (let i = 0; i < portalCount; i++) await use(i)
const after = memory()
console.log(
  JSON.stringify({
    heapKb: (after.heap - before.heap) / 1024 / portalCount,
    rssKb: Math.max(0, after.rss - before.rss) / 1024 / portalCount,
  }),
)
