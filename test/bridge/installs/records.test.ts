import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { InstallStore, VerifiedInstall } from '../../../src/bridge/installs/store.ts'
import { installRecords } from '../../../src/stores/installs.ts'
import { offlineQueries } from '../../../src/stores/offline.ts'
import { openStore } from '../../../src/stores/open.ts'
import { readCursor, saveCursor } from '../../../src/stores/queries/cursors.ts'
import { saveWebhook } from '../../../src/stores/queries/webhooks.ts'
import { openSealer } from '../../../src/stores/seal.ts'
import { openSecrets, type Secrets } from '../../../src/stores/secrets.ts'
import type { Store } from '../../../src/stores/store.ts'
import { DATABASES } from '../../support/databases.ts'

const NOW = 1_700_000_000_000
const KEYS = `k1:${Buffer.alloc(32, 1).toString('base64')}`

for (const { name, note, skip, create } of DATABASES)
  describe.skipIf(skip)(`what an installation leaves on ${name}${note}`, () => {
    let place: Awaited<ReturnType<typeof create>>
    let store: Store
    let secrets: Secrets
    let records: InstallStore
    let count = 0
    let memberId = ''

    beforeAll(async () => {
      place = await create()
      store = await openStore(place.url, { now: Date.now })
      secrets = await openSecrets(store.db, openSealer({ keys: KEYS }), () => NOW)
      records = installRecords(store.db, secrets)
    })
    beforeEach(() => {
      memberId = `member-${count++}`
    })
    afterAll(async () => {
      await store?.close()
      await place?.drop()
    })

    const installOf = (clientId = 'app.1', applicationToken = 'first'): VerifiedInstall => ({
      portal: {
        memberId,
        domain: `${memberId}.example.com`,
        clientEndpoint: `https://${memberId}.example.com/rest/`,
      },
      installation: { memberId, clientId, scope: ['crm'] },
      tokens: { key: { memberId, clientId, userId: '1' }, pair: { accessToken: 'a', refreshToken: 'r' } },
      applicationToken,
    })
    const gone = (clean: boolean, clientId = 'app.1') =>
      records.uninstall({ memberId, clientId, clean, reason: 'removed', now: NOW })
    const stateOf = async () => {
      const portal = await records.findPortal(memberId)
      const tokens = await records.listTokens(memberId)
      return [portal?.state, portal?.reason, tokens.map(({ state }) => state)]
    }

    it('is written once, and a new application token takes the place of the old one', async () => {
      await records.saveInstall(installOf(), NOW)
      await records.saveInstall(installOf('app.1', 'second'), NOW)
      expect(await stateOf()).toEqual(['active', undefined, ['active']])
      expect(await records.listInstallations(memberId)).toHaveLength(1)
      expect(await records.findApplicationToken(memberId, 'first')).toBeUndefined()
      expect((await records.findApplicationToken(memberId, 'second'))?.clientId).toBe('app.1')
    })

    it('is written whole or not at all', async () => {
      const install = installOf('app.1', 'first')
      const broken = {
        ...install,
        installation: { ...install.installation, clientId: null as unknown as string },
      }
      await expect(records.saveInstall(broken, NOW)).rejects.toThrow()
      expect(await stateOf()).toEqual([undefined, undefined, []])
    })

    it.each([true, false])('leaves no trace of how far its events were read, clean: %s', async (clean) => {
      const { db } = store
      const offline = offlineQueries(store)
      await records.saveInstall(installOf('app.1'), NOW)
      await records.saveInstall(installOf('app.2', 'second'), NOW)
      for (const clientId of ['app.1', 'app.2']) {
        await offline.replace({ memberId, clientId }, ['', 'erp'], NOW)
        await offline.see({ memberId, clientId }, NOW)
        await saveCursor(db, `push/${memberId}/${clientId}`, { value: '1', updatedAt: NOW })
      }
      await saveCursor(db, `scan/${memberId}`, { value: '1', updatedAt: NOW })
      const left = async () => ({
        queues: (await offline.pumps({ memberId })).map(({ clientId }) => clientId),
        sources: (
          await db
            .selectFrom('offline_sources')
            .select('client_id')
            .where('member_id', '=', memberId)
            .orderBy('client_id')
            .execute()
        ).map((row) => row.client_id),
        cursors: await Promise.all(
          [`push/${memberId}/app.1`, `push/${memberId}/app.2`, `scan/${memberId}`].map(
            async (name) => (await readCursor(db, name)) !== undefined,
          ),
        ),
      })
      await gone(clean)
      expect(await left()).toEqual({
        queues: ['app.2', 'app.2'],
        sources: ['app.2'],
        cursors: [false, true, true],
      })
      await records.removePortal(memberId)
      expect(await left()).toEqual({ queues: [], sources: [], cursors: [false, false, false] })
    })

    it('ends with its tokens dead and the portal suspended, until the next installation', async () => {
      await records.saveInstall(installOf(), NOW)
      await gone(false)
      expect(await stateOf()).toEqual(['suspended', 'removed', ['dead']])
      expect(await records.findApplicationToken(memberId, 'first')).toBeUndefined()
      await records.saveInstall(installOf(), NOW)
      expect(await stateOf()).toEqual(['active', undefined, ['active']])
    })

    it('is forgotten, with the portal when nothing else leads to it', async () => {
      await records.saveInstall(installOf(), NOW)
      await records.saveInstall(installOf('app.2', 'other'), NOW)
      await gone(true)
      expect(await stateOf()).toEqual(['active', undefined, ['active']])
      await gone(true, 'app.2')
      expect(await stateOf()).toEqual([undefined, undefined, []])
    })

    it('leaves a portal alone to which a webhook of its domain leads', async () => {
      await records.saveInstall(installOf(), NOW)
      const url = `https://${memberId}.example.com/rest/1/abc123/`
      await saveWebhook(store.db, secrets, { url, name: 'main' }, NOW)
      await gone(false)
      expect(await stateOf()).toEqual(['active', undefined, ['dead']])
      await gone(true)
      expect(await stateOf()).toEqual(['active', undefined, []])
    })

    it('gives a name to the first of many who ask at once, and again when its time is over', async () => {
      const ask = (now: number) => records.claimOnce(`oauth-state/${memberId}`, { ttlMs: 1000, now })
      const all = await Promise.all(Array.from({ length: 8 }, () => ask(NOW)))
      expect(all.filter(Boolean)).toHaveLength(1)
      expect(await ask(NOW + 999)).toBe(false)
      expect(await ask(NOW + 1001)).toBe(true)
      const kept = await store.db
        .selectFrom('leases')
        .select('name')
        .where('name', 'like', 'oauth-state/%')
        .execute()
      expect(kept).toHaveLength(1)
    })
  })
