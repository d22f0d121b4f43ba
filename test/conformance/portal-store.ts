import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { botRecords } from '../../src/stores/bots.ts'
import { openStore } from '../../src/stores/open.ts'
import {
  addApplicationToken,
  findApplicationToken,
  listApplicationTokens,
  removeApplicationToken,
} from '../../src/stores/queries/application-tokens.ts'
import {
  findApplication,
  listApplications,
  listInstallations,
  removeApplication,
  removeInstallation,
  saveApplication,
  saveInstallation,
} from '../../src/stores/queries/applications.ts'
import { releaseLease, renewLease, takeLease } from '../../src/stores/queries/leases.ts'
import {
  findPortal,
  listPortals,
  removeAlias,
  removePortal,
  resumePortal,
  saveAlias,
  savePortal,
  suspendPortal,
} from '../../src/stores/queries/portals.ts'
import { dropSpare, keepSpare, listSpares } from '../../src/stores/queries/spare-tokens.ts'
import { findApplied, listInstalled, saveApplied } from '../../src/stores/queries/subscriptions.ts'
import {
  claimRenewal,
  findIdleTokens,
  findTokens,
  listTokens,
  markTokensDead,
  releaseRenewal,
  removeTokens,
  saveTokens,
  storeRenewed,
} from '../../src/stores/queries/tokens.ts'
import {
  findWebhookUrl,
  listWebhooks,
  removeWebhook,
  saveWebhook,
} from '../../src/stores/queries/webhooks.ts'
import { countSecrets, rotate } from '../../src/stores/rotate.ts'
import { openSealer } from '../../src/stores/seal.ts'
import { openSecrets, type Secrets } from '../../src/stores/secrets.ts'
import type { Store, StoreTables } from '../../src/stores/store.ts'
import { createFor, type TestDatabase } from '../support/databases.ts'

const KEYS = {
  k1: `k1:${Buffer.alloc(32, 1).toString('base64')}`,
  k2: `k2:${Buffer.alloc(32, 2).toString('base64')}`,
  otherK1: `k1:${Buffer.alloc(32, 3).toString('base64')}`,
}
const now = Date.now
const AT = 1_700_000_000_000

/** What every database remembers of portals, applications and tokens. */
export function portalStoreConformance(database: TestDatabase): void {
  describe.skipIf(database.skip)(`portals and tokens on ${database.name}${database.note}`, () => {
    let place: Awaited<ReturnType<TestDatabase['create']>>
    let store: Store
    let db: Store['db']
    let secrets: Secrets
    let count = 0
    let memberId: string

    beforeAll(async () => {
      place = await database.create()
      store = await openStore(place.url, { now })
      db = store.db
      secrets = await openSecrets(db, openSealer({ keys: KEYS.k1 }), now)
    })
    afterAll(async () => {
      await store.close()
      await place.drop()
    })
    beforeEach(() => {
      memberId = `member${++count}`
    })
    const portal = (id = memberId) => ({
      memberId: id,
      domain: `${id}.bitrix24.com`,
      clientEndpoint: `https://${id}.bitrix24.com/rest/`,
    })
    const key = (userId = '1') => ({ memberId, clientId: 'app.1', userId })
    const pair = (n: number) => ({
      accessToken: `access-${n}`,
      refreshToken: `refresh-${n}`,
      expiresAt: AT + n,
    })

    describe('a portal', () => {
      it('is found by its id, its domain in any case, and its aliases', async () => {
        await savePortal(db, { ...portal(), limit: '250/5' }, AT)
        await saveAlias(db, `shop ${memberId}`, memberId)
        const known = {
          ...portal(),
          limit: '250/5',
          state: 'active',
          aliases: [`shop ${memberId}`],
          createdAt: AT,
          updatedAt: AT,
        }
        for (const name of [memberId, `${memberId}.Bitrix24.com`, `shop ${memberId}`]) {
          expect(await findPortal(db, name)).toEqual(known)
        }
        expect(await findPortal(db, 'nobody')).toBeUndefined()
        await removeAlias(db, `shop ${memberId}`)
        expect(await findPortal(db, `shop ${memberId}`)).toBeUndefined()
      })

      it('keeps its id when domain and endpoint change, and what was not said again', async () => {
        await savePortal(
          db,
          { ...portal(), limit: 'off', serverEndpoint: 'https://oauth.bitrix.info/rest/' },
          AT,
        )
        const moved = {
          memberId,
          domain: `new.${memberId}.com`,
          clientEndpoint: `https://new.${memberId}.com/rest/`,
        }
        await savePortal(db, moved, AT + 5)
        expect(await findPortal(db, memberId)).toMatchObject({
          ...moved,
          limit: 'off',
          serverEndpoint: 'https://oauth.bitrix.info/rest/',
          createdAt: AT,
          updatedAt: AT + 5,
        })
        expect(await findPortal(db, portal().domain)).toBeUndefined()
      })

      it('gives a domain to the one who was heard of last', async () => {
        await savePortal(db, portal(), AT)
        await savePortal(db, { ...portal(`${memberId}b`), domain: portal().domain }, AT + 1)
        expect((await findPortal(db, portal().domain))!.memberId).toBe(`${memberId}b`)
      })

      it('is suspended with a reason, and resumed', async () => {
        expect(await suspendPortal(db, memberId, { reason: 'x', now: AT })).toBe(false)
        await savePortal(db, portal(), AT)
        expect(
          await suspendPortal(db, memberId, { reason: 'PAYMENT_REQUIRED', nextTry: AT + 9, now: AT }),
        ).toBe(true)
        await savePortal(db, portal(), AT + 1)
        expect(await findPortal(db, memberId)).toMatchObject({
          state: 'suspended',
          reason: 'PAYMENT_REQUIRED',
          nextTry: AT + 9,
        })
        await resumePortal(db, memberId, AT + 2)
        const resumed = await findPortal(db, memberId)
        expect(resumed).toMatchObject({ state: 'active' })
        expect(resumed).not.toHaveProperty('reason')
      })

      it('is listed page by page', async () => {
        const ids = Array.from({ length: 5 }, (_, i) => `${memberId}-${i}`)
        for (const id of ids) await savePortal(db, portal(id), AT)
        const first = await listPortals(db, { after: memberId, limit: 2 })
        const rest = await listPortals(db, { after: first.at(-1)!.memberId, limit: 3 })
        expect([...first, ...rest].map((one) => one.memberId)).toEqual(ids)
      })

      it('goes with everything that belongs to it', async () => {
        await savePortal(db, portal(), AT)
        await saveTokens(db, secrets, key(), pair(1), AT)
        await keepSpare(db, secrets, key(), { source: 'event', pair: pair(2), now: AT })
        await addApplicationToken(db, secrets, { memberId, label: 'app', token: 'token' }, AT)
        await saveInstallation(db, { memberId, clientId: 'app.1', scope: [] }, AT)
        await saveAlias(db, `gone ${memberId}`, memberId)
        expect(await removePortal(db, memberId)).toBe(true)
        expect(await removePortal(db, memberId)).toBe(false)
        expect(await findPortal(db, `gone ${memberId}`)).toBeUndefined()
        expect(await findTokens(db, secrets, key())).toBeUndefined()
        expect(await listSpares(db, secrets, key())).toEqual([])
        expect(await listInstallations(db, memberId)).toEqual([])
        expect(await findApplicationToken(db, secrets, memberId, 'token')).toBeUndefined()
      })
    })

    it('keeps applications, and shows them without their secrets', async () => {
      const clientId = `app.${memberId}`
      await saveApplication(db, secrets, { clientId, name: 'Old', clientSecret: 'one' }, AT)
      await saveApplication(db, secrets, { clientId, name: 'Склад', clientSecret: 'two' }, AT + 1)
      expect(await findApplication(db, secrets, clientId)).toEqual({
        clientId,
        name: 'Склад',
        clientSecret: 'two',
      })
      expect(await listApplications(db)).toContainEqual({ clientId, name: 'Склад', createdAt: AT })
      expect(await removeApplication(db, clientId)).toBe(true)
      expect(await findApplication(db, secrets, clientId)).toBeUndefined()
    })

    it('keeps installations, and takes tokens along when one goes', async () => {
      const installed = {
        memberId,
        clientId: 'app.1',
        status: 'L',
        scope: ['crm', 'im'],
        version: '3',
        userId: '7',
      }
      await saveInstallation(db, { ...installed, version: '2' }, AT)
      await saveInstallation(db, installed, AT + 1)
      await saveTokens(db, secrets, key(), pair(1), AT)
      expect(await listInstallations(db, memberId)).toEqual([installed])
      await removeInstallation(db, installed)
      expect(await listInstallations(db, memberId)).toEqual([])
      expect(await findTokens(db, secrets, key())).toBeUndefined()
    })

    describe('tokens', () => {
      it('are kept a user, and a new pair takes the place of the old one', async () => {
        await saveTokens(db, secrets, key('1'), { ...pair(1), scope: ['crm', 'user'], status: 'L' }, AT)
        await saveTokens(db, secrets, key('2'), { accessToken: 'only' }, AT + 1)
        await saveTokens(db, secrets, key('1'), pair(3), AT + 2)
        expect(await findTokens(db, secrets, key('1'))).toMatchObject({
          ...pair(3),
          ...key('1'),
          version: 2,
          state: 'active',
          createdAt: AT,
          renewedAt: AT + 2,
        })
        const other = await findTokens(db, secrets, key('2'))
        expect(other).toMatchObject({ accessToken: 'only', hasRefreshToken: false, version: 1 })
        expect(other).not.toHaveProperty('refreshToken')
        expect(other).not.toHaveProperty('expiresAt')
        const listed = await listTokens(db, { memberId, clientId: 'app.1' })
        expect(listed.map((one) => one.userId)).toEqual(['1', '2'])
        expect(JSON.stringify(listed)).not.toMatch(/access-|refresh-|v1\./)
        await removeTokens(db, key('1'))
        expect(await findTokens(db, secrets, key('1'))).toBeUndefined()
      })

      it('are renewed by one of many processes', async () => {
        await saveTokens(db, secrets, key(), pair(1), AT)
        const stores = await Promise.all(
          Array.from({ length: 4 }, () => openStore(place.url, { now, exclusive: false })),
        )
        const claims = await Promise.all(
          stores.flatMap((one, process) =>
            Array.from({ length: 5 }, (_, call) =>
              claimRenewal(one.db, secrets, key(), {
                version: 1,
                owner: `${process}/${call}`,
                ttlMs: 40_000,
              }),
            ),
          ),
        )
        const won = claims.filter((claim) => claim !== undefined)
        expect(won).toEqual([{ epoch: 2, refreshToken: 'refresh-1' }])
        const renewed = { epoch: won[0]!.epoch, pair: pair(2), now: AT + 1 }
        expect(await storeRenewed(db, secrets, key(), renewed)).toBe('stored')
        expect(await findTokens(db, secrets, key())).toMatchObject({
          ...pair(2),
          version: 2,
          renewedAt: AT + 1,
        })
        const late = { version: 1, owner: 'late', ttlMs: 40_000 }
        expect(await claimRenewal(db, secrets, key(), late)).toBeUndefined()
        for (const one of stores) await one.close()
      })

      it('keep the pair of a process that was too slow as a spare one', async () => {
        await saveTokens(db, secrets, key(), pair(1), AT)
        const claim = (owner: string, at: number) =>
          claimRenewal(db, secrets, key(), { version: 1, owner, ttlMs: 40_000, now: at })
        const slow = await claim('slow', AT)
        expect(await claim('early', AT + 39_999)).toBeUndefined()
        const quick = await claim('quick', AT + 40_000)
        expect(quick!.epoch).toBe(slow!.epoch + 1)
        const store = (epoch: number, n: number) =>
          storeRenewed(db, secrets, key(), { epoch, pair: pair(n), now: AT + 50_000 + n })
        expect(await store(quick!.epoch, 2)).toBe('stored')
        expect(await store(slow!.epoch, 3)).toBe('orphaned')
        expect(await findTokens(db, secrets, key())).toMatchObject(pair(2))
        const spares = await listSpares(db, secrets, key())
        expect(spares).toMatchObject([{ source: 'orphan', ...pair(3) }])
        await dropSpare(db, spares[0]!.id)
        expect(await listSpares(db, secrets, key())).toEqual([])
      })

      it('rest for a while after a renewal that failed', async () => {
        await saveTokens(db, secrets, key(), pair(1), AT)
        const claim = (at: number) =>
          claimRenewal(db, secrets, key(), { version: 1, owner: 'me', ttlMs: 40_000, now: at })
        const { epoch } = (await claim(AT))!
        await releaseRenewal(db, key(), { epoch, pauseMs: 30_000, now: AT + 100 })
        expect(await claim(AT + 30_099)).toBeUndefined()
        expect(await claim(AT + 30_100)).toBeDefined()
      })

      it('die with a reason, unless they were replaced meanwhile, and live again with a new pair', async () => {
        await saveTokens(db, secrets, key(), pair(1), AT)
        await saveTokens(db, secrets, key(), pair(2), AT)
        expect(await markTokensDead(db, key(), { version: 1, reason: 'invalid_grant' })).toBe(false)
        expect(await markTokensDead(db, key(), { version: 2, reason: 'invalid_grant' })).toBe(true)
        expect(await findTokens(db, secrets, key())).toMatchObject({ state: 'dead', reason: 'invalid_grant' })
        const claim = { version: 2, owner: 'me', ttlMs: 1000 }
        expect(await claimRenewal(db, secrets, key(), claim)).toBeUndefined()
        await saveTokens(db, secrets, key(), pair(3), AT)
        expect(await findTokens(db, secrets, key())).toMatchObject({ ...pair(3), state: 'active' })
      })

      it('keep the newest second chain of an event and every orphan', async () => {
        for (const [n, source] of (['event', 'orphan', 'event', 'orphan'] as const).entries()) {
          await keepSpare(db, secrets, key(), { source, pair: pair(n), now: AT + n })
        }
        const spares = await listSpares(db, secrets, key())
        expect(spares.map((spare) => `${spare.source} ${spare.refreshToken}`)).toEqual([
          'orphan refresh-3',
          'orphan refresh-1',
          'event refresh-2',
        ])
      })

      it('are found when nobody has renewed them for long', async () => {
        await saveTokens(db, secrets, key('old'), pair(1), 1000)
        await saveTokens(db, secrets, key('older, without a refresh token'), { accessToken: 'x' }, 500)
        await saveTokens(db, secrets, key('young'), pair(1), 2000)
        const idle = await findIdleTokens(db, { renewedBefore: 2000, limit: 10 })
        expect(idle.map((one) => one.userId)).toEqual(['old'])
        expect(await findIdleTokens(db, { renewedBefore: 3000, limit: 1 })).toHaveLength(1)
      })
    })

    it('recognises application tokens, several a portal, and each only on its portal', async () => {
      const add = (label: string, token: string) =>
        addApplicationToken(db, secrets, { memberId, clientId: 'app.1', label, token }, AT)
      await add('app', 'token of the app')
      await add('outgoing webhook', 'token of a webhook')
      await add('app again', 'token of the app')
      expect(await findApplicationToken(db, secrets, memberId, 'token of the app')).toEqual({
        memberId,
        clientId: 'app.1',
        label: 'app again',
      })
      expect(await listApplicationTokens(db, memberId)).toHaveLength(2)
      expect(await findApplicationToken(db, secrets, 'another', 'token of the app')).toBeUndefined()
      expect(await findApplicationToken(db, secrets, memberId, '')).toBeUndefined()
      await removeApplicationToken(db, secrets, memberId, 'token of the app')
      expect(await findApplicationToken(db, secrets, memberId, 'token of the app')).toBeUndefined()
    })

    it('keeps webhooks, the same address once', async () => {
      const url = `https://${memberId}.bitrix24.com/rest/5/s3cret`
      const id = await saveWebhook(db, secrets, { url, name: 'shop' }, AT)
      expect(await saveWebhook(db, secrets, { url: `${url}/`, name: 'Shop', memberId }, AT + 1)).toBe(id)
      expect(await findWebhookUrl(db, secrets, id)).toBe(`${url}/`)
      const known = {
        id,
        domain: `${memberId}.bitrix24.com`,
        userId: '5',
        name: 'Shop',
        memberId,
        createdAt: AT,
      }
      for (const portal of [memberId, `${memberId}.bitrix24.com`]) {
        expect(await listWebhooks(db, { portal })).toEqual([known])
      }
      expect(await removeWebhook(db, id)).toBe(true)
      expect(await findWebhookUrl(db, secrets, id)).toBeUndefined()
    })

    describe('a lease', () => {
      it('goes to one of many who ask at the same time', async () => {
        const owners = Array.from({ length: 8 }, (_, i) => `owner ${i}`)
        const taken = await Promise.all(
          owners.map((owner) => takeLease(db, { name: `race ${memberId}`, owner, ttlMs: 60_000 })),
        )
        expect(taken.filter((lease) => lease !== undefined)).toHaveLength(1)
      })

      it('can be renewed and released by its holder only, and its fence rises with each holder', async () => {
        const name = `pump ${memberId}`
        const first = (await takeLease(db, { name, owner: 'a', ttlMs: 1000, now: AT }))!
        expect(first).toEqual({ name, owner: 'a', until: AT + 1000, fence: 1 })
        expect(await takeLease(db, { name, owner: 'b', ttlMs: 1000, now: AT + 999 })).toBeUndefined()
        expect(await renewLease(db, first, 1000, AT + 500)).toEqual({ ...first, until: AT + 1500 })
        const second = (await takeLease(db, { name, owner: 'b', ttlMs: 1000, now: AT + 1500 }))!
        expect(second.fence).toBe(2)
        expect(await renewLease(db, first, 1000, AT + 1600)).toBeUndefined()
        await releaseLease(db, first)
        expect(await takeLease(db, { name, owner: 'c', ttlMs: 1000, now: AT + 1600 })).toBeUndefined()
        await releaseLease(db, second)
        expect(await takeLease(db, { name, owner: 'c', ttlMs: 1000, now: AT + 1600 })).toMatchObject({
          fence: 3,
        })
      })

      it('counts by the clock of the database', async () => {
        const name = `clock ${memberId}`
        const lease = (await takeLease(db, { name, owner: 'a', ttlMs: 3_600_000 }))!
        expect(Math.abs(lease.until - 3_600_000 - Date.now())).toBeLessThan(60_000)
        expect(await takeLease(db, { name, owner: 'b', ttlMs: 1 })).toBeUndefined()
      })
    })

    describe('secrets', () => {
      let own: Awaited<ReturnType<TestDatabase['create']>>
      let vault: Store
      let sealed: Secrets
      const whose = { memberId: 'm', clientId: 'app', userId: '1' }
      const marked = 'MARKED-SECRET'

      beforeEach(async () => {
        own = await database.create()
        vault = await openStore(own.url, { now })
        sealed = await openSecrets(vault.db, openSealer({ keys: KEYS.k1 }), now)
        const tokens = { accessToken: `${marked}-1`, refreshToken: `${marked}-2` }
        await saveTokens(vault.db, sealed, whose, tokens, AT)
        await keepSpare(vault.db, sealed, whose, { source: 'orphan', pair: tokens, now: AT })
        await saveApplication(
          vault.db,
          sealed,
          { clientId: 'app', name: 'App', clientSecret: `${marked}-3` },
          AT,
        )
        await addApplicationToken(vault.db, sealed, { memberId: 'm', label: 'app', token: `${marked}-4` }, AT)
        const url = `https://m.bitrix24.com/rest/1/${marked}-5/`
        await saveWebhook(vault.db, sealed, { url, name: 'hook' }, AT)
        return async () => {
          await vault.close()
          await own.drop()
        }
      })

      it('stand in no table', async () => {
        const dump = await dumpOf(vault)
        expect(Object.keys(dump)).toEqual(
          expect.arrayContaining([
            'tokens',
            'spare_tokens',
            'applications',
            'application_tokens',
            'webhooks',
          ]),
        )
        expect(dump.webhooks).toHaveLength(1)
        const text = JSON.stringify(dump)
        expect(text).not.toContain(marked)
        for (let n = 1; n <= 5; n++) {
          expect(text).not.toContain(Buffer.from(`${marked}-${n}`).toString('base64').slice(0, 16))
        }
      })

      it('are refused to a wrong key by its name, and never look like nothing', async () => {
        const reopen = (keys: string) => openSecrets(vault.db, openSealer({ keys }), now)
        await expect(reopen(KEYS.k2)).rejects.toMatchObject({
          code: 'SECRET_KEY_MISSING',
          message: expect.stringContaining('the key k1'),
        })
        await expect(reopen(KEYS.otherK1)).rejects.toMatchObject({
          code: 'SECRET_KEY_WRONG',
          message: expect.stringContaining('The key k1'),
        })
        const unproved = openSealer({ keys: KEYS.k2 })
        await expect(findTokens(vault.db, unproved, whose)).rejects.toMatchObject({
          code: 'SECRET_KEY_MISSING',
        })
        await expect(findTokens(vault.db, openSealer({ keys: KEYS.otherK1 }), whose)).rejects.toMatchObject({
          code: 'SECRET_DAMAGED',
        })
      })

      it('are told from those that were changed or moved to another row', async () => {
        const row = await vault.db.selectFrom('tokens').selectAll().executeTakeFirstOrThrow()
        const write = (access_token: string) => vault.db.updateTable('tokens').set({ access_token }).execute()
        for (const changed of [flipped(row.access_token), row.refresh_token!, 'plain', 'v1.k1.AAAA.AAAA']) {
          await write(changed)
          const read = findTokens(vault.db, sealed, whose)
          await expect(read).rejects.toMatchObject({ code: 'SECRET_DAMAGED' })
          await expect(read).rejects.not.toThrow(changed)
        }
      })

      it('move to a new key while others write, and then the old key may go', async () => {
        const both = await openSecrets(vault.db, openSealer({ keys: [KEYS.k2, KEYS.k1] }), now)
        expect(await countSecrets(vault.db)).toEqual(new Map([['k1', 7]]))
        const before = both.fingerprint('x')
        const steps: number[] = []
        const told = {
          step: 1,
          onProgress: (progress: { resealed: number }) => steps.push(progress.resealed),
        }
        expect(await rotate(vault.db, both, told)).toBe(7)
        expect(steps).toEqual([1, 2, 3, 4, 5, 6, 7])
        expect(await rotate(vault.db, both)).toBe(0)
        expect(await countSecrets(vault.db)).toEqual(new Map([['k2', 7]]))

        const alone = await openSecrets(vault.db, openSealer({ keys: KEYS.k2 }), now)
        expect(alone.fingerprint('x')).toBe(before)
        expect(await findTokens(vault.db, alone, whose)).toMatchObject({ accessToken: `${marked}-1` })
        expect(await findApplication(vault.db, alone, 'app')).toMatchObject({ clientSecret: `${marked}-3` })
        expect(await findApplicationToken(vault.db, alone, 'm', `${marked}-4`)).toBeDefined()
        await expect(openSecrets(vault.db, openSealer({ keys: KEYS.k1 }), now)).rejects.toMatchObject({
          code: 'SECRET_KEY_MISSING',
          message: expect.stringContaining('k2'),
        })
      })

      it('leave a store to the first of two processes that bring different keys', async () => {
        const fresh = await createFor(database)
        const shared = await openStore(fresh.url, { now })
        const outcomes = await Promise.allSettled(
          [KEYS.k1, KEYS.k2].map((keys) => openSecrets(shared.db, openSealer({ keys }), now)),
        )
        expect(outcomes.map((outcome) => outcome.status).sort()).toEqual(['fulfilled', 'rejected'])
        await shared.close()
      })
    })

    describe('what was applied to portals', () => {
      const applied = (memberId: string, more: object = {}) => ({
        memberId,
        clientId: 'app',
        document: `{"portals":"*","robots":[{"name":"Lager prüfen ${'x'.repeat(70_000)}"}]}`,
        base: 'https://bridge.example',
        remembered: '{"robot/1":"a"}',
        appliedAt: AT,
        ...more,
      })

      it('is kept whole, the last time counts, and goes with the portal', async () => {
        await savePortal(db, portal('m-applied'), AT)
        await saveApplied(db, applied('m-applied'))
        await saveApplied(db, applied('*'))
        expect(await findApplied(db, 'm-applied', 'app')).toEqual(applied('m-applied'))
        const later = applied('m-applied', { remembered: '{}', appliedAt: AT + 1 })
        await saveApplied(db, later)
        expect(await findApplied(db, 'm-applied', 'app')).toEqual(later)
        expect(await findApplied(db, 'm-applied', 'other')).toBeUndefined()
        await removePortal(db, 'm-applied')
        expect(await findApplied(db, 'm-applied', 'app')).toBeUndefined()
        expect(await findApplied(db, '*', 'app')).toEqual(applied('*'))
      })

      it('names the bots that are to be fetched for, where the portal is called and a pair works', async () => {
        const ours = async () =>
          (await botRecords(db).sources()).filter((source) => source.memberId === memberId)
        const bots = [
          { code: 'Quiet', version: 2, name: 'Q', fetch: true },
          { code: 'posted', version: 2, name: 'P' },
        ]
        const document = JSON.stringify({ portals: '*', bots })
        await savePortal(db, portal(), AT)
        await saveApplied(db, { ...applied(memberId, { document }), clientId: 'app.1' })
        expect(await ours()).toEqual([])
        await saveTokens(db, secrets, key(), pair(1), AT)
        expect(await ours()).toEqual([{ memberId, clientId: 'app.1', codes: ['quiet'] }])
        await suspendPortal(db, memberId, { reason: 'test', now: AT })
        expect(await ours()).toEqual([])
      })

      it('is meant for the portals on which the application lives, page by page', async () => {
        for (const memberId of ['p3', 'p1', 'p2'])
          await saveInstallation(db, { memberId, clientId: 'paged', scope: [] }, AT)
        await saveInstallation(db, { memberId: 'p4', clientId: 'other', scope: [] }, AT)
        expect(await listInstalled(db, 'paged', { after: '', limit: 2 })).toEqual(['p1', 'p2'])
        expect(await listInstalled(db, 'paged', { after: 'p2', limit: 2 })).toEqual(['p3'])
      })
    })
  })
}

/** Every row of every table. */
async function dumpOf({ db }: Store): Promise<Record<string, unknown[]>> {
  const dump: Record<string, unknown[]> = {}
  for (const { name } of await db.introspection.getTables()) {
    const { rows } = await sql`select * from ${sql.table(name as keyof StoreTables)}`.execute(db)
    dump[name] = rows
  }
  return dump
}

function flipped(sealed: string): string {
  const last = sealed.at(-5)!
  return `${sealed.slice(0, -5)}${last === 'A' ? 'B' : 'A'}${sealed.slice(-4)}`
}
