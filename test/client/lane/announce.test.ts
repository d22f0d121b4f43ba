import { expect, it } from 'vitest'
import { announce } from '../../../src/client/lane/announce.ts'
import { buildRequest } from '../../../src/client/lane/exchange.ts'
import { createWaiting } from '../../../src/client/lane/waiting.ts'
import type { Work } from '../../../src/client/lane/work.ts'
import { FaultError, StoreError } from '../../../src/model/errors.ts'
import { parseWebhook, webhookCredential } from '../../../src/model/webhook.ts'

it('tells a fault of a hook from a refusal, and blames nobody else in the request', async () => {
  const away = new StoreError('STORE_UNAVAILABLE', 'The store is away')
  const bug = new TypeError('x is not a function')
  const hooks: Work['beforeSend'][] = [
    undefined,
    () => Promise.reject(away),
    () => Promise.reject(bug),
    () => {
      throw bug
    },
  ]
  const credential = webhookCredential(parseWebhook('https://example.bitrix24.com/rest/1/abc/'))
  const items = hooks.map((beforeSend) => {
    const work = { calls: [{ method: 'crm.deal.add', params: {} }] }
    return createWaiting(beforeSend === undefined ? work : { ...work, beforeSend }, credential, 0, () => {})
  })
  const refused = await announce(buildRequest(items, credential, 'k_'))
  expect(items.map((item) => refused.get(item))).toEqual([
    undefined,
    away,
    expect.any(FaultError),
    expect.any(FaultError),
  ])
  expect(refused.get(items[3]!)?.cause).toBe(bug)
})
