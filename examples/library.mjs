// The library in one file: a hundred calls in a few requests, a batch with a reference, a whole list, a refusal.
// It brings a sandbox portal along, so it needs nothing: `npm run build && node examples/library.mjs`
import { createClient, RestError, ref } from 'bitrix24-bridge'
import { createSandbox } from 'bitrix24-bridge/sandbox'

const sandbox = await createSandbox({ deals: 1000 })
// For a portal of your own: createClient({ webhook: 'https://example.bitrix24.com/rest/1/abc123def456/' })
const b24 = createClient({ webhook: sandbox.webhookUrl })

// Calls made together travel together: nothing has to be batched by hand.
const ids = Array.from({ length: 100 }, (_, i) => i + 1)
const deals = await Promise.all(ids.map((id) => b24.call('crm.deal.get', { id })))
console.log(`${deals.length} deals in ${b24.stats().requests} requests, the last is "${deals.at(-1).TITLE}"`)

// Names and references: the second command uses the answer of the first, inside one request.
const { results } = await b24.batch({
  me: ['user.current'],
  mine: ['department.get', { ID: ref('me', 'UF_DEPARTMENT', 0) }],
})
console.log(`${results.me.NAME} works in ${results.mine[0].NAME}`)

// A whole list, however long, read while it is walked through.
let rows = 0
for await (const _deal of b24.list('crm.deal.list', { select: ['ID', 'TITLE'] })) rows++
console.log(`${rows} rows`)

// A refusal of the portal is an error with a code to branch on.
try {
  await b24.call('crm.deal.get', { id: 99_999_999 })
} catch (error) {
  if (!(error instanceof RestError)) throw error
  console.log(`refused: ${error.description}, may have run: ${error.mayHaveRun}`)
}

await b24.close()
await sandbox.close()
