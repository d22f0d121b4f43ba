import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { DeadLetter, LetterContent } from '../../src/model/dead-letter.ts'
import { openStore } from '../../src/stores/open.ts'
import {
  claimLetter,
  countLetters,
  dropLetter,
  findLetter,
  insertLetter,
  letterContent,
  listLetters,
  pruneLetters,
  settleLetter,
} from '../../src/stores/queries/dead-letters.ts'
import { rotate } from '../../src/stores/rotate.ts'
import { openSealer } from '../../src/stores/seal.ts'
import { openSecrets, type Secrets } from '../../src/stores/secrets.ts'
import type { Store } from '../../src/stores/store.ts'
import type { TestDatabase } from '../support/databases.ts'

const KEYS = ['k1', 'k2'].map((name, at) => `${name}:${Buffer.alloc(32, at + 1).toString('base64')}`)
const AT = 1_700_000_000_000

/** What every database remembers of dead letters. */
export function deadLetterStoreConformance(database: TestDatabase): void {
  describe.skipIf(database.skip)(`dead letters on ${database.name}${database.note}`, () => {
    let place: Awaited<ReturnType<TestDatabase['create']>>
    let store: Store
    let db: Store['db']
    let secrets: Secrets
    let count = 0

    beforeAll(async () => {
      place = await database.create()
      store = await openStore(place.url, { now: Date.now })
      db = store.db
      secrets = await openSecrets(db, openSealer({ keys: KEYS[0]! }), Date.now)
    })
    afterAll(async () => {
      await store.close()
      await place.drop()
    })
    beforeEach(async () => {
      await pruneLetters(db, -3_600_000)
    })

    const letter = (more: Partial<DeadLetter> = {}): DeadLetter => ({
      id: `letter-${String(++count).padStart(6, '0')}`,
      kind: 'command',
      state: 'open',
      reason: 'BODY_NOT_JSON',
      unsure: false,
      attempts: 0,
      deliveries: 1,
      bytes: 3,
      diedAt: AT,
      storedAt: AT,
      retries: 0,
      ...more,
    })
    const content = (more: Partial<LetterContent> = {}): LetterContent => ({
      properties: '{"headers":{}}',
      secretHeaders: {},
      body: Buffer.from('{}'),
      ...more,
    })
    const put = async (more: Partial<DeadLetter> = {}, what: Partial<LetterContent> = {}) => {
      const one = letter(more)
      expect(await insertLetter(db, secrets, one, content(what))).toBe('new')
      return one
    }
    const ids = async (...args: Parameters<typeof listLetters> extends [unknown, ...infer R] ? R : never) =>
      (await listLetters(db, ...args)).letters.map(({ id }) => id)

    it('come back with everything that is known of them, and their content to the byte', async () => {
      const body = Buffer.alloc(3 * 1024 * 1024 + 7, 'äöü\u0000')
      const known = {
        description: 'The body is not JSON: "ß"',
        hint: 'Send JSON.',
        unsure: true,
        queue: 'b24.commands',
        contract: 'native',
        portal: 'example.bitrix24.com',
        method: 'crm.deal.add',
        messageId: 'm-1',
        correlationId: 'c-1',
        target: { exchange: '', routingKey: 'b24.commands' },
        attempts: 2,
        deliveries: 3,
        bytes: body.length,
        sentAt: AT - 5000,
        retryOf: 'an-earlier-one',
      }
      const secretHeaders = { token: 'marked-token' }
      const one = await put(known, { properties: '{"headers":{"ä":"\\u0000"}}', secretHeaders, body })
      expect(await findLetter(db, one.id)).toEqual(one)
      const { body: kept, ...rest } = (await letterContent(db, secrets, one.id))!
      expect(rest).toEqual({ properties: '{"headers":{"ä":"\\u0000"}}', secretHeaders })
      expect(kept.equals(body)).toBe(true)
      const row = await db.selectFrom('dead_letters').selectAll().executeTakeFirstOrThrow()
      expect(JSON.stringify(row)).not.toContain('marked-token')
      const bare = await put({}, { body: Buffer.alloc(0) })
      expect(await findLetter(db, bare.id)).toEqual(bare)
      expect((await letterContent(db, secrets, bare.id))?.body).toHaveLength(0)
      expect(await findLetter(db, 'nobody')).toBeUndefined()
      expect(await letterContent(db, secrets, 'nobody')).toBeUndefined()
    })

    it('are kept once, however many processes insert the same one', async () => {
      const one = letter()
      const body = Buffer.alloc(600_000, 1)
      const inserted = await Promise.all(
        Array.from({ length: 8 }, () => insertLetter(db, secrets, one, content({ body }))),
      )
      expect(inserted.sort()).toEqual(['new', ...Array(7).fill('open')])
      expect((await letterContent(db, secrets, one.id))?.body.equals(body)).toBe(true)
      await settleLetter(db, one.id, true)
      expect(await insertLetter(db, secrets, one, content())).toBe('retried')
    })

    it('are listed by the page, the newest or the oldest first, and nothing twice when others come and go', async () => {
      const all: string[] = []
      for (let i = 0; i < 7; i++) all.push((await put({ diedAt: AT + Math.trunc(i / 3) })).id)
      const first = await listLetters(db, {}, { limit: 3 })
      expect(first.letters.map(({ id }) => id)).toEqual([...all].reverse().slice(0, 3))
      await put({ diedAt: AT + 9 })
      await dropLetter(db, all[4]!)
      const second = await listLetters(db, {}, { limit: 3, after: first.next! })
      expect(second.letters.map(({ id }) => id)).toEqual([all[3], all[2], all[1]])
      const third = await listLetters(db, {}, { limit: 3, after: second.next! })
      expect(third.letters.map(({ id }) => id)).toEqual([all[0]])
      expect(third.next).toBeUndefined()
      expect(await ids({}, { limit: 2, order: 'oldest' })).toEqual(all.slice(0, 2))
      expect(await ids({}, { limit: 5, after: 'nonsense' })).toHaveLength(5)
    })

    it('are found by state, reason, portal, method, queue and time, together too', async () => {
      const deal = await put({ portal: 'a.bitrix24.com', method: 'crm.deal.add', queue: 'q1' })
      const lead = await put({ reason: 'OUTCOME_UNKNOWN', method: 'crm.lead.add', diedAt: AT + 1000 })
      const task = await put({ portal: 'b.bitrix24.com', method: 'tasks.task.add', diedAt: AT + 2000 })
      await settleLetter(db, task.id, true)
      const found = (filter: Parameters<typeof listLetters>[1]) => ids(filter, { limit: 9, order: 'oldest' })
      expect(await found({ state: 'open' })).toEqual([deal.id, lead.id])
      expect(await found({ reason: 'OUTCOME_UNKNOWN' })).toEqual([lead.id])
      expect(await found({ portal: 'A.bitrix24.com' })).toEqual([deal.id])
      expect(await found({ method: 'crm.Lead.add' })).toEqual([lead.id])
      expect(await found({ method: 'crm.*' })).toEqual([deal.id, lead.id])
      expect(await found({ method: 'crm.d*', portal: 'b.bitrix24.com' })).toEqual([])
      expect(await found({ queue: 'q1' })).toEqual([deal.id])
      expect(await found({ since: AT + 1000, until: AT + 2000 })).toEqual([lead.id])
      expect(await countLetters(db, { state: 'open' })).toBe(2)
    })

    it('are sent again by one at a time, and say who did it how often', async () => {
      const one = await put()
      const claim = (ttlMs: number, retries: number, by = 'cli:ann') =>
        claimLetter(db, one.id, { by, at: AT + 1, ttlMs, retries })
      const claims = await Promise.all(Array.from({ length: 6 }, () => claim(60_000, 0)))
      expect(claims.filter((taken) => taken)).toHaveLength(1)
      await settleLetter(db, one.id, false)
      expect(await findLetter(db, one.id)).toMatchObject({ state: 'open', retries: 1, retriedBy: 'cli:ann' })
      // A right whose holder died ends by itself.
      expect(await claim(0, 1)).toBe(true)
      // Whoever read it before somebody else was at it comes too late.
      expect(await claim(60_000, 1)).toBe(false)
      expect(await claim(60_000, 2, 'http:127.0.0.1')).toBe(true)
      await settleLetter(db, one.id, true)
      expect(await findLetter(db, one.id)).toMatchObject({
        state: 'retried',
        retries: 3,
        retriedAt: AT + 1,
        retriedBy: 'http:127.0.0.1',
      })
      expect(await claimLetter(db, 'nobody', { by: 'x', at: AT, ttlMs: 0, retries: 0 })).toBe(false)
    })

    it('go with their content, one by one or with age', async () => {
      const old = await put({ storedAt: Date.now() - 7_200_000 })
      const young = await put({ storedAt: Date.now() })
      const third = await put({ storedAt: Date.now() })
      expect(await pruneLetters(db, 3_600_000)).toBe(1)
      expect(await dropLetter(db, young.id)).toBe(true)
      expect(await dropLetter(db, young.id)).toBe(false)
      expect(await ids({}, { limit: 9 })).toEqual([third.id])
      const parts = await db.selectFrom('dead_letter_parts').select('letter_id').execute()
      expect(parts).toEqual([{ letter_id: third.id }])
      expect(await findLetter(db, old.id)).toBeUndefined()
    })

    it('keep their secrets when the key changes', async () => {
      const one = await put({}, { secretHeaders: { token: 'marked-token' } })
      const both = await openSecrets(db, openSealer({ keys: [KEYS[1]!, KEYS[0]!] }), Date.now)
      expect(await rotate(db, both)).toBeGreaterThan(0)
      const young = await openSecrets(db, openSealer({ keys: KEYS[1]! }), Date.now)
      expect((await letterContent(db, young, one.id))?.secretHeaders).toEqual({ token: 'marked-token' })
      secrets = young
    })
  })
}
