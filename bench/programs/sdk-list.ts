// The official SDK reads a list by id; its own limiter is set so wide that it never waits.
import { B24Hook, ParamsFactory } from '@bitrix24/b24jssdk'

const b24 = B24Hook.fromWebhookUrl(process.argv[2] as string)
await b24.setRestrictionManagerParams({
  ...ParamsFactory.getDefault(),
  rateLimit: { burstLimit: 1_000_000, drainRate: 1_000_000, adaptiveEnabled: false },
})
const startedAt = performance.now()
let rows = 0
let requests = 0
const pages = b24.actions.v2.fetchList.make<{ ID: string }>({
  method: 'crm.deal.list',
  params: { select: ['*'] },
  idKey: 'ID',
})
for await (const page of pages) {
  rows += page.length
  requests++
}
console.log(JSON.stringify({ rows, requests, seconds: (performance.now() - startedAt) / 1000 }))
b24.destroy()
