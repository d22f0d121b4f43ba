// Many portals with tokens in a store, as a bridge starts with them, calls each of some for the first time, and again.
// Prints how long that takes and how much memory a portal keeps that has been used.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [root, folder, count, used] = process.argv.slice(2) as [string, string, string, string]
const portalCount = Number(count)
const usedCount = Number(used)

// biome-ignore lint/suspicious/noExplicitAny: the built program is looked at from outside
const load = (path: string): Promise<any> => import(pathToFileURL(join(root, 'dist', path)).href)
const { openStore } = await load('stores/open.js')
const { unlockStore } = await load('stores/unlock.js')
const { portalQueries, tokenQueries } = await load('stores/bound.js')
const { bucketLevels } = await load('stores/bucket-levels.js')
const { saveBucket } = await load('stores/queries/buckets.js')
const { savePortal } = await load('stores/queries/portals.js')
const { saveTokens } = await load('stores/queries/tokens.js')
const { createStoredPortals } = await load('bridge/stored-portals.js')

const address = `sqlite:${join(folder, 'portals.db')}`
const unlocking = { address, given: undefined, production: false, now: Date.now }
const member = (index: number): string => `member-${String(index).padStart(6, '0')}`

async function fill(): Promise<void> {
  const store = await openStore(address, { now: Date.now })
  const secrets = await unlockStore(store, unlocking)
  await store.db.transaction().execute(async (db: unknown) => {
    for (let index = 0; index < portalCount; index++) {
      const domain = `portal-${index}.bitrix24.com`
      const memberId = member(index)
      await savePortal(db, { memberId, domain, clientEndpoint: `https://${domain}/rest/` }, index)
      const pair = { accessToken: `access-${index}`, refreshToken: `refresh-${index}` }
      await saveTokens(db, secrets, { memberId, clientId: 'local.bench', userId: '1' }, pair, Date.now())
      await saveBucket(db, domain, { level: 1, updatedAt: Date.now() })
    }
  })
  await store.close()
}
await fill()

const answer = {
  status: 200,
  text: '{"result":true,"time":{"duration":0.01,"operating":0.1}}',
  location: undefined,
}
const startedAt = performance.now()
const store = await openStore(address, { now: Date.now })
const secrets = await unlockStore(store, unlocking)
const { portals, keeper } = createStoredPortals({
  defaultPortal: undefined,
  portalStore: portalQueries(store, secrets),
  tokenStore: tokenQueries(store, secrets),
  secrets,
  spoolFolder: join(folder, 'spool'),
  oauthServers: [],
  owner: 'bench',
  now: Date.now,
  levels: await bucketLevels(store, Date.now, () => {}),
  log: () => {},
  lane: {
    transport: { post: async () => answer, close: async () => undefined },
    limit: { capacity: 50, drainPerSecond: 2 },
  },
})
await keeper.start()
const startMs = performance.now() - startedAt

/** Milliseconds of one call. */
async function call(index: number): Promise<number> {
  const before = performance.now()
  const { lane, credential } = await portals.find({ portal: member(index) })
  const calls = [{ method: 'crm.deal.get', params: { id: 1 } }]
  const [settled] = await lane.submit({ calls, options: { credential } })
  if (settled.error !== undefined) throw settled.error
  return performance.now() - before
}

function memory(): { heap: number; rss: number } {
  for (let i = 0; i < 4; i++) globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed + external, rss }
}

const p95 = (times: readonly number[]): number =>
  [...times].sort((a, b) => a - b)[Math.floor(times.length * 0.95)] as number

// The first hundred bring the code in.
for (let index = 0; index < 100; index++) await call(portalCount - 1 - index)
const before = memory()
const cold: number[] = []
const warm: number[] = []
for (let index = 0; index < usedCount; index++) {
  cold.push(await call(index))
  warm.push(await call(index))
}
const after = memory()
console.log(
  JSON.stringify({
    startMs,
    coldMs: p95(cold) - p95(warm),
    warmMs: p95(warm),
    heapKb: (after.heap - before.heap) / 1024 / usedCount,
    rssKb: Math.max(0, after.rss - before.rss) / 1024 / usedCount,
  }),
)
await portals.close(0)
await keeper.close()
await store.close()
