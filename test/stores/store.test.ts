import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Kysely, sql } from 'kysely'
import { afterAll, describe, expect, it } from 'vitest'
import { MIGRATIONS, migrate } from '../../src/stores/migrate.ts'
import { openStore } from '../../src/stores/open.ts'
import { loadBuckets, saveBucket } from '../../src/stores/queries/buckets.ts'

const folder = mkdtempSync(join(tmpdir(), 'b24-store-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
const newFile = () => `sqlite:${join(folder, 'made', `${++files}.db`)}`
const now = Date.now

describe('opening a store', () => {
  it('makes the file and its folder, and finds everything again', async () => {
    const url = newFile()
    const first = await openStore(url, { now })
    await saveBucket(first.db, 'portal', { level: 12.5, updatedAt: 1000 })
    await saveBucket(first.db, 'portal', { level: 13, updatedAt: 2000 })
    await first.close()
    await first.close()
    const second = await openStore(url, { now, sync: 'full' })
    expect(await loadBuckets(second.db)).toEqual(new Map([['portal', { level: 13, updatedAt: 2000 }]]))
    expect(second.features).toEqual({ shared: false, durable: true })
    await second.close()
  })

  it('opens one in memory that nobody shares', async () => {
    await using one = await openStore('sqlite::memory:', { now })
    await using other = await openStore('sqlite::memory:', { now })
    await saveBucket(one.db, 'portal', { level: 1, updatedAt: 1 })
    expect(await loadBuckets(other.db)).toEqual(new Map())
    expect(one.features.durable).toBe(false)
  })

  it.each(['postgres://u:sec@ret@h:x/db', 'oracle://u:secret@h/db', './bridge.db', 'sqlite:', ''])(
    'refuses the address %j in words, without repeating it',
    async (url) => {
      const error = await openStore(url, { now }).catch((caught: unknown) => caught as Error)
      expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('sqlite:./') })
      expect(String(error)).not.toContain('secret')
    },
  )

  it('says what is wrong with a file that is no database', async () => {
    const path = join(folder, 'letter.txt')
    writeFileSync(path, 'Dear database, '.repeat(100))
    await expect(openStore(`sqlite:${path}`, { now })).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringContaining('letter.txt'),
    })
  })
})

describe('a store in use', () => {
  it('is refused to a second bridge, naming the first, and free after its close', async () => {
    const url = newFile()
    const first = await openStore(url, { now })
    const refused = openStore(url, { now })
    await expect(refused).rejects.toMatchObject({
      code: 'STORE_IN_USE',
      context: { pid: process.pid, host: hostname() },
    })
    await first.close()
    await (await openStore(url, { now })).close()
  })

  it('lets a tool read and write beside the bridge', async () => {
    const url = newFile()
    await using bridge = await openStore(url, { now })
    const tool = await openStore(url, { now, exclusive: false })
    await Promise.all([
      saveBucket(tool.db, 'from the tool', { level: 1, updatedAt: 1 }),
      saveBucket(bridge.db, 'from the bridge', { level: 2, updatedAt: 2 }),
    ])
    expect((await loadBuckets(bridge.db)).size).toBe(2)
    await tool.close()
    await expect(openStore(url, { now })).rejects.toMatchObject({ code: 'STORE_IN_USE' })
  })

  it('is taken over at once from a process that died on this machine', async () => {
    const url = newFile()
    const gone = spawn(process.execPath, ['-e', ''])
    await once(gone, 'exit')
    await (await openStore(url, { now })).close()
    await holdAs(url, { host: hostname(), pid: gone.pid!, seenAt: now() })
    await (await openStore(url, { now })).close()
  })

  it('is taken over from another machine only after a long silence', async () => {
    const url = newFile()
    await (await openStore(url, { now })).close()
    await holdAs(url, { host: 'elsewhere', pid: 1, seenAt: now() - 10_000 })
    await expect(openStore(url, { now })).rejects.toMatchObject({
      code: 'STORE_IN_USE',
      hint: expect.any(String),
    })
    await (await openStore(url, { now, ownerStaleMs: 9000 })).close()
  })

  it('tells a bridge that stood still for too long that it has lost its store', async () => {
    const url = newFile()
    let clock = 1000
    let lost = 0
    const slow = await openStore(url, { now: () => clock, ownerStaleMs: 90, onLost: () => lost++ })
    clock += 90
    const next = await openStore(url, { now: () => clock + 90, ownerStaleMs: 90 })
    await expect.poll(() => lost).toBe(1)
    await slow.close()
    await next.close()
  })

  async function holdAs(url: string, holder: { host: string; pid: number; seenAt: number }): Promise<void> {
    const tool = await openStore(url, { now, exclusive: false })
    const row = { id: 1, owner: 'another', host: holder.host, pid: holder.pid, seen_at: holder.seenAt }
    await tool.db.insertInto('store_owner').values(row).execute()
    await tool.close()
  }
})

describe('migrations', () => {
  it('run once, in order, also when two processes start together', async () => {
    const url = newFile()
    const stores = await Promise.all([1, 2, 3].map(() => openStore(url, { now, exclusive: false })))
    const { rows } = await sql<{ id: number }>`select id from schema_migrations order by id`.execute(
      stores[0]!.db,
    )
    expect(rows.map((row) => row.id)).toEqual(MIGRATIONS.map((migration) => migration.id))
    for (const store of stores) await store.close()
  })

  it('stop a program that is older than the store', async () => {
    const url = newFile()
    const newer = await openStore(url, { now })
    await sql`insert into schema_migrations (id, name, applied_at) values (999, 'from-the-future', 0)`.execute(
      newer.db,
    )
    await newer.close()
    await expect(openStore(url, { now })).rejects.toMatchObject({
      code: 'SCHEMA_NEWER',
      message: expect.stringContaining('999'),
      hint: expect.any(String),
    })
  })

  it('leave nothing behind when one fails, and carry on from there', async () => {
    await using store = await openStore('sqlite::memory:', { now })
    const db = store.db as unknown as Kysely<unknown>
    let broken = true
    const steps = [
      ...MIGRATIONS,
      {
        id: MIGRATIONS.at(-1)!.id + 1,
        name: 'half',
        async up(transaction: Kysely<unknown>) {
          await sql`create table half (id integer)`.execute(transaction)
          if (broken) throw new Error('power cut')
        },
      },
    ]
    await expect(migrate(db, now, steps)).rejects.toThrow('power cut')
    broken = false
    await migrate(db, now, steps)
    await sql`select * from half`.execute(db)
  })
})
