import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Kysely, sql } from 'kysely'
import Database from 'libsql'
import { afterEach, describe, expect, it } from 'vitest'
import { readSimpleApi } from '../../src/cli/import/simple-api.ts'
import { openStore } from '../../src/stores/open.ts'
import { findApplicationToken } from '../../src/stores/queries/application-tokens.ts'
import { findApplication } from '../../src/stores/queries/applications.ts'
import { findTokens, listTokens, markTokensDead, saveTokens } from '../../src/stores/queries/tokens.ts'
import { openSealer } from '../../src/stores/seal.ts'
import { openSecrets } from '../../src/stores/secrets.ts'
import { asAdmin, DATABASES } from '../support/databases.ts'
import { emptyFolder, run } from './support/command-line.ts'

const KEY = `k1:${Buffer.alloc(32, 7).toString('base64')}`
const APP = 'local.5c8bb1b0891cf2.87252039'
const MEMBER = 'a223c6b3710f85df22e9377d6c4f7553'

const V1 = {
  member_id: MEMBER,
  access_token: 'marked-access-1',
  expires_in: '3600',
  application_token: 'marked-application-token',
  refresh_token: 'marked-refresh-1',
  domain: 'Example.bitrix24.com',
  client_endpoint: 'https://example.bitrix24.com/rest/',
  client_id: APP,
  client_secret: 'marked-client-secret',
}
const V2 = {
  user_id: '7',
  member_id: MEMBER,
  is_admin: '0',
  auth_token: 'marked-access-7',
  refresh_token: 'marked-refresh-7',
  domain: 'example.bitrix24.com',
  client_id: APP,
  client_secret: 'marked-client-secret',
  created_at: '2026-01-01',
  updated_at: '2026-01-01',
}

type Row = Readonly<Record<string, string | null>>

const drops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const drop of drops.splice(0)) await drop()
})

/** Fills a table of the other program, as text, which is how it declares its own. */
async function fill(url: string, table: string, rows: readonly Row[]): Promise<void> {
  const names = Object.keys(rows[0] ?? {})
  const make = async (db: Kysely<unknown>): Promise<void> => {
    const columns = sql.join(names.map((name) => sql`${sql.id(name)} varchar(255)`))
    await sql`create table ${sql.table(table)} (${columns})`.execute(db)
    for (const row of rows)
      await sql`insert into ${sql.table(table)} values (${sql.join(names.map((name) => row[name]))})`.execute(
        db,
      )
  }
  if (!url.startsWith('sqlite:')) return asAdmin(url, make)
  const database = new Database(url.slice('sqlite:'.length))
  const quoted = (name: string): string => `"${name}"`
  database.exec(`create table ${quoted(table)} (${names.map((name) => `${quoted(name)} text`).join(', ')})`)
  for (const row of rows)
    database
      .prepare(`insert into ${quoted(table)} values (${names.map(() => '?').join(', ')})`)
      .run(names.map((name) => row[name]))
  database.close()
}

/** A database of the other program on SQLite, and a store to import into. */
async function world(table: string, rows: readonly Row[]) {
  const cwd = emptyFolder()
  const from = `sqlite:${join(cwd, 'old.db')}`
  await fill(from, table, rows)
  return { cwd, from, ...target(cwd) }
}

function target(cwd: string) {
  const url = `sqlite:${join(cwd, 'bridge.db')}`
  const env = { BRIDGE_STORE: url, BRIDGE_SECRET_KEY: KEY }
  return { env, url }
}

async function open(url: string) {
  const store = await openStore(url, { now: Date.now, exclusive: false })
  drops.push(() => store.close())
  return { db: store.db, secrets: await openSecrets(store.db, openSealer({ keys: KEY }), Date.now) }
}

function words(from: string, ...more: string[]): string[] {
  return ['portals', 'import', '--from', 'simple-api', '--url', from, ...more]
}

describe.each(DATABASES)('import from simple-api on $name$note', ({ skip, create }) => {
  it.skipIf(skip)('takes over the first generation: dry run, run, and again', async () => {
    const { url: from, drop } = await create()
    drops.push(drop)
    await fill(from, 'api_tokens_bitrix24', [V1])
    const cwd = emptyFolder()
    const { env, url } = target(cwd)
    const go = (...more: string[]) => run(words('env:OLD', ...more), { cwd, env: { ...env, OLD: from } })

    const dry = await go('--dry-run')
    expect(dry).toMatchObject({ code: 0, err: '' })
    expect(dry.out).toMatch(/example\.bitrix24\.com +a223\w+ +local\S+ +- +new +new +new +new/)
    expect(dry.out).toContain('1 of 1 rows')
    expect(dry.out).toContain('Nothing was written')
    expect((await run(['portals', 'list'], { cwd, env })).out).toMatch(/^No portal/)

    expect((await go()).out).toContain('(generation v1) written; 0 are known already')
    const again = JSON.parse((await go('--json')).out)
    expect(again.rows).toMatchObject([{ isNew: false, tokens: 'known', applicationToken: 'known' }])

    const { db, secrets } = await open(url)
    const key = { memberId: MEMBER, clientId: APP, userId: '' }
    const tokens = await findTokens(db, secrets, key)
    expect(tokens).toMatchObject({
      accessToken: 'marked-access-1',
      refreshToken: 'marked-refresh-1',
      version: 1,
    })
    expect(tokens?.expiresAt).toBeUndefined()
    expect(await findApplication(db, secrets, APP)).toMatchObject({ clientSecret: 'marked-client-secret' })
    expect(await findApplicationToken(db, secrets, MEMBER, 'marked-application-token')).toMatchObject({
      clientId: APP,
      label: 'simple-api',
    })
  })

  it.skipIf(skip)('takes over the second generation, with columns of other names', async () => {
    const { url: from, drop } = await create()
    drops.push(drop)
    const { member_id: portal, ...rest } = V2
    await fill(from, 'users', [{ ...rest, portal }])
    const cwd = emptyFolder()
    const { env, url } = target(cwd)
    const more = ['--table', 'users', '--columns', 'member_id=portal', '--json']
    const { code, out } = await run(words(from, ...more), { cwd, env })
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ generation: 'v2', rows: [{ userId: '7', tokens: 'new' }] })
    const { db, secrets } = await open(url)
    const key = { memberId: MEMBER, clientId: APP, userId: '7' }
    expect(await findTokens(db, secrets, key)).toMatchObject({ accessToken: 'marked-access-7' })
  })
})

describe('import from simple-api', () => {
  it('leaves the file of the other program as it was, to the byte', async () => {
    const { cwd, from, env } = await world('api_tokens_bitrix24', [V1])
    const file = from.slice('sqlite:'.length)
    const before = readFileSync(file)
    expect((await run(words(from), { cwd, env })).code).toBe(0)
    expect(readFileSync(file).equals(before)).toBe(true)
  })

  it('does not put the pair of the table over one that was renewed since, but over a dead one', async () => {
    const { cwd, from, env, url } = await world('api_tokens_bitrix24', [V1])
    await run(words(from), { cwd, env })
    const { db, secrets } = await open(url)
    const key = { memberId: MEMBER, clientId: APP, userId: '' }
    await saveTokens(db, secrets, key, { accessToken: 'renewed', refreshToken: 'renewed' }, Date.now())
    await run(words(from), { cwd, env })
    expect(await findTokens(db, secrets, key)).toMatchObject({ accessToken: 'renewed' })
    await markTokensDead(db, key, { version: 2, reason: 'invalid_grant' })
    const { out } = await run(words(from, '--json'), { cwd, env })
    expect(JSON.parse(out).rows).toMatchObject([{ tokens: 'again' }])
    expect(await findTokens(db, secrets, key)).toMatchObject({
      accessToken: 'marked-access-1',
      state: 'active',
    })
  })

  it('lets an administrator speak for the application', async () => {
    const admin = { ...V2, user_id: '9', is_admin: '1', auth_token: 'marked-access-9' }
    const { cwd, from, env, url } = await world('b24_users', [V2, admin])
    await run(words(from, '--table', 'b24_users'), { cwd, env })
    const { db } = await open(url)
    const users = (await listTokens(db, { memberId: MEMBER })).map(({ userId }) => userId)
    expect(users).toEqual(['9', '7'])
  })

  it('takes the good rows, names the others, and ends with 2', async () => {
    const rows: Row[] = [
      { ...V1, refresh_token: '' },
      { ...V1, member_id: null },
      { ...V1, domain: 'http://' },
      { ...V1, client_endpoint: 'javascript:alert(1)' },
      V1,
    ]
    const { cwd, from, env } = await world('api_tokens_bitrix24', rows)
    const { code, out } = await run(words(from), { cwd, env })
    expect(code).toBe(2)
    expect(out).toContain('refused: row 1 (a223c6b3710f85df22e9377d6c4f7553): refresh_token is empty.')
    expect(out).toContain('refused: row 2 (no member id): member_id is empty.')
    expect(out).toContain('refused: row 3')
    expect(out).toContain('refused: row 4')
    expect(out).toMatch(/1 of 5 rows .* written; 0 are known already, 4 refused/)
  })

  it('says what is wrong with the table, its columns or the address', async () => {
    const { member_id: _, ...rest } = V1
    const { cwd, from, env } = await world('api_tokens_bitrix24', [rest])
    const cases: [words: string[], text: string][] = [
      [words(from), 'The table has no column member_id'],
      [words(from, '--table', 'nowhere'), 'The table nowhere cannot be read'],
      [words(from, '--columns', 'member=x'), '--columns cannot be read at "member=x"'],
      [words('sqlite:./missing-file.db'), 'no file ./missing-file.db'],
      [words('pgsql:host=db;dbname=app'), 'The store address'],
      [['portals', 'import', '--url', from], '--from'],
    ]
    for (const [line, text] of cases) {
      const { code, err } = await run(line, { cwd, env })
      expect(err, line.join(' ')).toContain(text)
      expect([2, 4]).toContain(code)
    }
  })

  it('finds nothing to do in an empty table', () => {
    expect(readSimpleApi([])).toMatchObject({ rows: [], refused: [] })
  })
})
