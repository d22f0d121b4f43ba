import { expect, it, onTestFinished } from 'vitest'
import { createSandbox } from '../../src/sandbox/index.ts'
import { openStore } from '../../src/stores/open.ts'
import { saveApplication } from '../../src/stores/queries/applications.ts'
import { unlockStore } from '../../src/stores/unlock.ts'
import { openBench } from '../support/bridge.ts'

const APPLICATION = { clientId: 'local.chairs', clientSecret: 'marked-secret-of-chairs' }

it('a portal that was connected over HTTP takes commands at once, and none seconds after the application is removed', async () => {
  const other = await createSandbox({ limits: 'off', oauthPort: 0, applications: [APPLICATION] })
  const key = `k1:${Buffer.alloc(32, 1).toString('base64')}`
  const env = { BRIDGE_OAUTH_SERVERS: other.oauthUrl, BRIDGE_SECRET_KEY: key }
  const bench = await openBench({ broker: 'embedded', env })
  onTestFinished(async () => {
    await bench[Symbol.asyncDispose]()
    await other.close()
  })
  const address = bench.env.BRIDGE_STORE ?? ''
  const store = await openStore(address, { now: Date.now, exclusive: false })
  const secrets = await unlockStore(store, { address, given: key, production: false, now: Date.now })
  await saveApplication(store.db, secrets, { ...APPLICATION, name: 'Chairs' }, Date.now())
  await store.close()

  const eventUrl = `${bench.service.url}/b24/app-events`
  const { clientId } = other.addApplication({ ...APPLICATION, eventUrl })
  const { deliveries, applicationToken } = await other.app({ do: 'install', clientId })
  expect(deliveries).toMatchObject([{ event: 'ONAPPINSTALL', status: 200 }])
  const { memberId, domain } = other.identity()
  for (const portal of [memberId, domain]) {
    const { body } = await bench.ask({ portal, method: 'crm.deal.get', params: { id: 7 } })
    expect(body).toMatchObject({ outcome: 'done', result: { ID: '7' } })
  }
  const gone = new URLSearchParams({
    event: 'ONAPPUNINSTALL',
    'auth[member_id]': memberId,
    'auth[application_token]': applicationToken,
  })
  expect((await fetch(eventUrl, { method: 'POST', body: gone })).status).toBe(200)
  // What is known of a portal is believed for three seconds.
  await expect
    .poll(
      async () => (await bench.ask({ portal: memberId, method: 'crm.deal.get', params: { id: 7 } })).body,
      { timeout: 10_000, interval: 500 },
    )
    .toMatchObject({ outcome: 'failed', error: { code: 'PORTAL_SUSPENDED' } })
  expect((await fetch(eventUrl, { method: 'POST', body: gone })).status).toBe(403)
  expect(bench.logged('install.refused')).toMatchObject([{ reason: 'APPLICATION_TOKEN_WRONG', level: 40 }])
  expect(bench.logs()).not.toContain(applicationToken)
  expect(bench.logs()).not.toContain(APPLICATION.clientSecret)
})
