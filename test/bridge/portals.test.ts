import { afterEach, describe, expect, it } from 'vitest'
import { createLanes } from '../../src/bridge/lanes.ts'
import type { PortalStore } from '../../src/bridge/portal-credentials.ts'
import { createPortals, type Portals, type PortalsOptions } from '../../src/bridge/portals.ts'
import { createTransport } from '../../src/client/transport.ts'
import { parseWebhook, webhookCredential } from '../../src/model/webhook.ts'
import { portalQueries } from '../../src/stores/bound.ts'
import { resumePortal, saveAlias, savePortal, suspendPortal } from '../../src/stores/queries/portals.ts'
import { markTokensDead } from '../../src/stores/queries/tokens.ts'
import { forgetVisitor, noteVisitor } from '../../src/stores/queries/visitors.ts'
import { saveWebhook } from '../../src/stores/queries/webhooks.ts'
import { APPLICATION, openShop, type Shop } from './tokens/shop.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

interface Place {
  readonly shop: Shop
  readonly portals: Portals
  /** Questions to the store. */
  readonly asked: () => number
  advance(ms: number): void
}

async function open(more: Partial<PortalsOptions> = {}): Promise<Place> {
  const shop = await openShop('sqlite::memory:')
  closing.push(() => shop.close())
  const { credentialFor } = shop.keeper()
  const queries = portalQueries(shop.store, shop.secrets)
  let asked = 0
  const store: PortalStore = {
    ...queries,
    portal(name) {
      asked++
      return queries.portal(name)
    },
  }
  const transport = createTransport()
  let later = 0
  const portals = createPortals({
    defaultPortal: undefined,
    stored: { store, credentialFor },
    lane: { transport, limit: null },
    now: () => Date.now() + later,
    ...more,
  })
  closing.push(
    () => transport.close(),
    () => portals.close(0),
  )
  return {
    shop,
    portals,
    asked: () => asked,
    advance: (ms) => {
      later += ms
    },
  }
}

async function whoIs(portals: Portals, wish: Parameters<Portals['find']>[0]): Promise<string> {
  const { lane, credential } = await portals.find(wish)
  const settled = await lane.submit({ calls: [{ method: 'profile', params: {} }], options: { credential } })
  const { answer, error } = settled[0]!
  if (error !== undefined) throw error
  return (answer!.body.result as { ID: string }).ID
}

describe('portals of the store', () => {
  it('need not be named while there is only one, and must be as soon as there are two', async () => {
    const { shop, portals, advance } = await open()
    expect(await whoIs(portals, {})).toBe('1')
    const other = { memberId: 'b'.repeat(32), domain: 'other.bitrix24.com' }
    const clientEndpoint = `https://${other.domain}/rest/`
    await savePortal(shop.store.db, { ...other, clientEndpoint }, Date.now())
    advance(4000)
    await expect(portals.find({})).rejects.toMatchObject({ code: 'PORTAL_MISSING' })
    expect(await whoIs(portals, { portal: shop.portal.domain })).toBe('1')
  })

  it('are found by member id, domain, address and alias', async () => {
    const { shop, portals } = await open()
    const { memberId, domain } = shop.portal
    await saveAlias(shop.store.db, 'Shop.Main', memberId)
    for (const portal of [memberId, domain, `https://${domain}/crm/`, 'Shop.Main'])
      expect(await whoIs(portals, { portal })).toBe('1')
    expect(portals.list()).toHaveLength(1)
  })

  it('are called as the user and by the application that the command names; the oldest counts otherwise', async () => {
    const { shop, portals } = await open()
    await shop.authorize(2)
    const { memberId: portal } = shop.portal
    expect(await whoIs(portals, { portal })).toBe('1')
    expect(await whoIs(portals, { portal, as: '2' })).toBe('2')
    expect(await whoIs(portals, { portal, application: APPLICATION.clientId })).toBe('1')
    await expect(portals.find({ portal, as: '99' })).rejects.toMatchObject({
      code: 'USER_UNKNOWN',
      status: 404,
    })
    await expect(portals.find({ portal, application: 'local.other' })).rejects.toMatchObject({
      code: 'APPLICATION_UNKNOWN',
    })
  })

  it('are never called by a user who only opened a page, unless in his own name', async () => {
    const { shop, portals, advance } = await open()
    const { memberId: portal } = shop.portal
    const visitor = await shop.authorize(2)
    await noteVisitor(shop.store.db, visitor)
    expect(await whoIs(portals, { portal, as: '2' })).toBe('2')
    await markTokensDead(shop.store.db, shop.key, { version: 1, reason: 'invalid_grant: used' })
    await expect(portals.find({ portal })).rejects.toMatchObject({ code: 'TOKENS_DEAD' })
    await forgetVisitor(shop.store.db, visitor)
    advance(5000)
    expect(await whoIs(portals, { portal })).toBe('2')
  })

  it('are called by the next credential when the oldest is dead, and say so when all are', async () => {
    const { shop, portals, advance } = await open()
    const { memberId: portal } = shop.portal
    const second = await shop.authorize(2)
    await markTokensDead(shop.store.db, shop.key, { version: 1, reason: 'invalid_grant: used' })
    expect(await whoIs(portals, { portal })).toBe('2')
    await expect(portals.find({ portal, as: '1' })).rejects.toMatchObject({ code: 'TOKENS_DEAD' })
    await markTokensDead(shop.store.db, second, { version: 1, reason: 'invalid_grant: used' })
    advance(5000)
    await expect(portals.find({ portal })).rejects.toMatchObject({
      code: 'TOKENS_DEAD',
      message: expect.stringContaining('invalid_grant'),
      hint: expect.stringContaining('authorize'),
    })
  })

  it('are refused with the reason while suspended, and tried again when it is time', async () => {
    const { shop, portals, advance } = await open()
    const { memberId: portal } = shop.portal
    const now = Date.now()
    const { db } = shop.store
    await suspendPortal(db, portal, { reason: 'PAYMENT_REQUIRED: ended', nextTry: now + 60_000, now })
    await expect(portals.find({ portal })).rejects.toMatchObject({
      code: 'PORTAL_SUSPENDED',
      status: 403,
      message: expect.stringContaining('PAYMENT_REQUIRED'),
      hint: expect.stringContaining('renew'),
    })
    advance(61_000)
    expect(await whoIs(portals, { portal })).toBe('1')
    await suspendPortal(db, portal, { reason: 'invalid_grant', now })
    advance(5000)
    await expect(portals.find({ portal })).rejects.toMatchObject({ code: 'PORTAL_SUSPENDED' })
    await resumePortal(db, portal, now)
    expect(await whoIs(portals, { portal })).toBe('1')
  })

  it('that nobody knows are refused', async () => {
    const { portals } = await open()
    await expect(portals.find({ portal: 'nobody.bitrix24.com' })).rejects.toMatchObject({
      code: 'PORTAL_UNKNOWN',
      status: 404,
    })
  })

  it('may be known by a webhook alone', async () => {
    const { shop, portals } = await open()
    const { store, secrets, sandbox } = shop
    const { db } = store
    await db.deleteFrom('tokens').execute()
    await db.deleteFrom('portals').execute()
    await saveWebhook(db, secrets, { url: sandbox.webhookUrl, name: 'by hand' }, Date.now())
    const { domain } = shop.portal
    expect(await whoIs(portals, { portal: domain })).toBe('1')
    expect(await whoIs(portals, { portal: domain, as: '1' })).toBe('1')
    await expect(portals.find({ portal: domain, as: '2' })).rejects.toMatchObject({ code: 'USER_UNKNOWN' })
  })

  it('stand beside the default portal, which answers for itself unless another user is wanted', async () => {
    const { shop } = await open()
    await shop.authorize(2)
    const { portals, asked } = await open({ defaultPortal: parseWebhook(shop.sandbox.webhookUrl) })
    expect(await whoIs(portals, {})).toBe('1')
    expect(await whoIs(portals, { portal: shop.portal.domain, as: '1' })).toBe('1')
    expect(asked()).toBe(0)
    await expect(portals.find({ as: '2' })).rejects.toMatchObject({ code: 'USER_UNKNOWN' })
  })

  it('are looked up once for many commands at once, and again after a while', async () => {
    const { shop, portals, asked, advance } = await open()
    const { memberId: portal } = shop.portal
    await Promise.all(Array.from({ length: 100 }, () => portals.find({ portal })))
    expect(asked()).toBe(1)
    advance(5000)
    await portals.find({ portal })
    expect(asked()).toBe(2)
  })

  it('have the limit that is stored for them', async () => {
    const { shop, portals } = await open()
    await savePortal(shop.store.db, { ...shop.portal, limit: '3/0.1' }, Date.now())
    const { lane } = await portals.find({ portal: shop.portal.memberId })
    for (let n = 0; n < 4; n++) void lane.submit({ calls: [{ method: 'profile', params: {} }] })
    await expect.poll(() => lane.stats().bucketLevel).toBeGreaterThan(0)
  })
})

describe('lanes', () => {
  it('are closed when nobody has used them for ten minutes, and opened again', async () => {
    const { shop } = await open()
    let now = 0
    const transport = createTransport()
    const lanes = createLanes({ lane: { transport, limit: null }, now: () => now })
    closing.push(
      () => transport.close(),
      () => lanes.close(0),
    )
    const credential = webhookCredential(parseWebhook(shop.sandbox.webhookUrl))
    const first = lanes.open(credential).lane
    now = 9 * 60_000
    lanes.sweep()
    expect(lanes.open(credential).lane).toBe(first)
    now = 20 * 60_000
    lanes.sweep()
    expect(lanes.list()).toEqual([])
    const [settled] = await first.submit({ calls: [{ method: 'profile', params: {} }] })
    expect(settled?.error).toMatchObject({ code: 'CLIENT_CLOSED' })
    expect(lanes.open(credential).lane).not.toBe(first)
  })
})
