// One process with a keeper of tokens, for tests of several. Reads its orders from the command line, waits for a line on
// its standard input, makes calls, and prints what came of them. `stopAt` names the step after which it is killed.
import { once } from 'node:events'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const orders = JSON.parse(process.argv[2])
const load = (path) => import(pathToFileURL(join(orders.dist, path)).href)
const { createTokenKeeper } = await load('bridge/tokens/keeper.js')
const { createSpool } = await load('bridge/tokens/spool.js')
const { createClient } = await load('client/client.js')
const { createAuthorizationServer } = await load('client/oauth.js')
const { tokenQueries } = await load('stores/bound.js')
const { openStore } = await load('stores/open.js')
const { openSealer } = await load('stores/seal.js')
const { openSecrets } = await load('stores/secrets.js')

const killedAfter = (step, act) =>
  orders.stopAt !== step
    ? act
    : async (...args) => {
        await act(...args)
        process.kill(process.pid, 'SIGKILL')
        await new Promise(() => {})
      }

const store = await openStore(orders.url, { now: Date.now })
const secrets = await openSecrets(store.db, openSealer({ keys: orders.secretKey }), Date.now)
const queries = tokenQueries(store, secrets)
const place = (row) => ({ table: 'spool', row, column: 'pair' })
const logs = []
const log = (event, fields) => logs.push({ event, ...fields })
const spool = createSpool({
  folder: orders.folder,
  log,
  seal: {
    seal: (id, text) => secrets.seal(place(id), text),
    open: (id, text) => secrets.open(place(id), text),
  },
})
const keeper = createTokenKeeper({
  store: {
    ...queries,
    claim: killedAfter('claimed', queries.claim),
    storeRenewed: killedAfter('stored', queries.storeRenewed),
  },
  spool: { ...spool, add: killedAfter('spooled', spool.add), remove: killedAfter('tidied', spool.remove) },
  server: () => {
    const server = createAuthorizationServer({
      origin: orders.oauthUrl,
      allowed: [orders.oauthUrl],
      now: Date.now,
    })
    return { ...server, refresh: killedAfter('answered', server.refresh) }
  },
  owner: `child-${process.pid}`,
  now: Date.now,
  leaseMs: orders.leaseMs,
  log,
})
await keeper.start()
const b24 = createClient({ credential: keeper.credentialFor(orders.portal, orders.key), limit: 'off' })
console.log('ready')
await once(process.stdin, 'data')
const ids = Array.from({ length: orders.calls }, (_, index) => (index % 50) + 1)
const answers = await Promise.all(
  ids.map(async (id) => {
    const { answer, error } = await b24.send('crm.deal.get', { id })
    return error === undefined ? Number(answer.body.result.ID) === id : `${error.code}: ${error.message}`
  }),
)
console.log(
  JSON.stringify({
    right: answers.filter((one) => one === true).length,
    errors: [...new Set(answers)],
    logs,
  }),
)
await b24.close()
await keeper.close()
await store.close()
process.exit(0)
