// Portals in a store, each with the same application token.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [root, address, count, token] = process.argv.slice(2) as [string, string, string, string]
// biome-ignore lint/suspicious/noExplicitAny: the built program is looked at from outside
const load = (path: string): Promise<any> => import(pathToFileURL(join(root, 'dist', path)).href)
const { openStore } = await load('stores/open.js')
const { unlockStore } = await load('stores/unlock.js')
const { savePortal } = await load('stores/queries/portals.js')
const { addApplicationToken } = await load('stores/queries/application-tokens.js')

const store = await openStore(address, { now: Date.now })
const secrets = await unlockStore(store, { address, given: undefined, production: false, now: Date.now })
for (let index = 0; index < Number(count); index++) {
  const memberId = `member-${index}`
  const domain = `${memberId}.bitrix24.com`
  await savePortal(store.db, { memberId, domain, clientEndpoint: `https://${domain}/rest/` }, Date.now())
  const known = { memberId, clientId: 'local.bench', label: 'bench', token }
  await addApplicationToken(store.db, secrets, known, Date.now())
}
await store.close()
