import { type CompiledQuery, type DatabaseConnection, DummyDriver, Kysely, type QueryResult } from 'kysely'
import { describe, expect, it } from 'vitest'
import { leaseMessages, returnLeased } from '../../src/brokers/embedded/queries.ts'
import { guarded } from '../../src/stores/dialects/guard.ts'
import { mssqlEngine, mssqlParts } from '../../src/stores/dialects/mssql.ts'
import { migrate } from '../../src/stores/migrate.ts'
import { addColumn, defaulting, integer } from '../../src/stores/migrations/table.ts'
import { outboxQueries } from '../../src/stores/outbox.ts'
import { takeLease } from '../../src/stores/queries/leases.ts'
import { findLedgerEntries, markDone, markStarted } from '../../src/stores/queries/ledger.ts'
import { listPortals, savePortal } from '../../src/stores/queries/portals.ts'
import { claimRenewal, saveTokens } from '../../src/stores/queries/tokens.ts'
import { openSealer } from '../../src/stores/seal.ts'
import type { StoreTables } from '../../src/stores/store.ts'

/** Writes statements down instead of carrying them out; there is no SQL Server on this machine. */
class Paper extends DummyDriver {
  readonly statements: string[] = []
  rows: Record<string, unknown>[] = []

  override async acquireConnection(): Promise<DatabaseConnection> {
    const { statements } = this
    const rows = () => this.rows
    return {
      async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
        statements.push(query.sql)
        return { rows: rows() as R[], numAffectedRows: 1n }
      },
      async *streamQuery() {},
    }
  }
}

function onPaper() {
  const paper = new Paper()
  const dialect = guarded(
    {
      ...mssqlParts,
      createDriver: () => paper,
      createIntrospector: () => {
        throw new Error('nothing to look at')
      },
    },
    { engine: mssqlEngine, label: 'mssql://paper' },
  )
  return { db: new Kysely<StoreTables>({ dialect }), paper }
}

const sealer = openSealer({ keys: `k1:${Buffer.alloc(32).toString('base64')}` })
const row = { requestHash: 'hash', startedAt: 1, claim: 'word' }
const ended = { requestHash: 'hash', startedAt: 1, finishedAt: 2, ran: true }

describe('statements for SQL Server (compiled here, carried out where TEST_MSSQL_URL names one)', () => {
  it('insert what is new with merge, and say what was', async () => {
    const { db, paper } = onPaper()
    paper.rows = [{ key: 'a' }]
    expect(await markStarted(db, [{ key: 'a', ...row }])).toEqual(new Set(['a']))
    expect(paper.statements).toEqual([
      'merge into "ledger" with (holdlock) using (values (@1, @2, @3, @4, @5, @6, @7)) as "excluded"' +
        ' ("key", "state", "request_hash", "started_at", "finished_at", "reply", "claim")' +
        ' on "ledger"."key" = "excluded"."key"' +
        ' when not matched then insert' +
        ' ("key", "state", "request_hash", "started_at", "finished_at", "reply", "claim")' +
        ' values ("excluded"."key", "excluded"."state", "excluded"."request_hash", "excluded"."started_at",' +
        ' "excluded"."finished_at", "excluded"."reply", "excluded"."claim") output "inserted"."key";',
    ])
  })

  it('update what is there with the same merge', async () => {
    const { db, paper } = onPaper()
    await markDone(db, [{ key: 'a', ...ended, reply: '{}' }])
    expect(paper.statements[0]).toContain(
      'when matched then update set "state" = "excluded"."state", "finished_at" = "excluded"."finished_at",' +
        ' "reply" = "excluded"."reply" when not matched then insert',
    )
    await saveTokens(db, sealer, { memberId: 'm', clientId: 'c', userId: '1' }, { accessToken: 'a' }, 1)
    expect(paper.statements[1]).toMatch(/"version" = "tokens"\."version" \+ @\d+.* when not matched/)
    await savePortal(db, { memberId: 'm', domain: 'd', clientEndpoint: 'e' }, 1)
    expect(paper.statements[2]).toContain('on "portals"."member_id" = "excluded"."member_id" when matched')
  })

  it('add a column with its value for the rows that are there', async () => {
    const { db, paper } = onPaper()
    await addColumn(db as unknown as Kysely<unknown>, 'ledger', 'repeats', defaulting(integer, 0))
    expect(paper.statements).toEqual(['alter table "ledger" add "repeats" int not null default 0'])
  })

  it('stay below 2100 parameters', async () => {
    const { db, paper } = onPaper()
    const rows = Array.from({ length: 1000 }, (_, i) => ({ key: `key ${i}`, ...row }))
    await markStarted(db, rows)
    await markDone(
      db,
      rows.map(({ key }) => ({ key, ...ended, reply: '' })),
    )
    await findLedgerEntries(
      db,
      rows.map((one) => one.key),
    )
    for (const statement of paper.statements) expect(statement.match(/@\d+/g)!.length).toBeLessThan(2100)
  })

  it('take pages with fetch and locked rows with hints', async () => {
    const { db, paper } = onPaper()
    paper.rows = []
    await listPortals(db, { limit: 5 })
    expect(paper.statements[0]).toMatch(/order by "member_id" offset 0 rows fetch next @2 rows only$/)
    await leaseMessages(db, { queue: 'q', most: 3, owner: 'me', until: 2, now: 1 })
    expect(paper.statements[1]).toBe(
      'update "embedded_messages" set "state" = @1, "owner" = @2, "lease_until" = @3,' +
        ' "delivery_count" = "delivery_count" + @4 output "inserted".* where "id" in (select "id" from' +
        ' "embedded_messages" with (updlock, rowlock, readpast) where "queue" = @5 and state = 0 and' +
        ' ("expires_at" is null or "expires_at" > @6) order by "priority" desc, "id"' +
        ' offset 0 rows fetch next @7 rows only)',
    )
    await returnLeased(db, 'me', [1, 2, 3], 5, 5)
    expect(paper.statements[2]).toContain('where "id" in (@5, @6, @7, @8)')
  })

  it('take, end and tell rows of the outbox', async () => {
    const { db, paper } = onPaper()
    paper.rows = [{ id: 7, attempts: 0, callback_attempts: 0 }]
    const outbox = outboxQueries({ db }, 'me')
    await outbox.take({
      ttlMs: 1000,
      limit: 10,
      exceptPortals: ['a', null],
      suspectFrom: 2,
      chooseSuspects: (due) => due,
    })
    const [look, lock, take, mark] = paper.statements
    expect(look).toContain('offset 0 rows fetch next')
    expect(lock).toMatch(/^update "leases" set "fence" = "fence" \+ @1/)
    expect(take).toContain('from "b24_outbox" as "o" with (updlock, rowlock, readpast) where o.pending = 1')
    expect(take).toContain('not exists (select "p"."id" from "b24_outbox" as "p" where p.pending = 1')
    expect(mark).toMatch(/^update "b24_outbox" set "state" = @1, .* where "id" in \(@\d+\)$/)
    await outbox.takeCallbacks({ limit: 10, holdMs: 1000, exceptBegins: [] })
    await outbox.depth()
    await outbox.prune(1000)
    expect(paper.statements.join('\n')).not.toMatch(/ limit |for update|skip locked/)
  })

  it('count time by the server', async () => {
    const { db, paper } = onPaper()
    paper.rows = []
    await takeLease(db, { name: 'pump', owner: 'me', ttlMs: 1000 })
    const clock = "cast(datediff_big(millisecond, '1970-01-01', sysutcdatetime()) as numeric(18,0))"
    expect(paper.statements[1]).toContain(`"until" = ${clock} + @2`)
    await claimRenewal(
      db,
      sealer,
      { memberId: 'm', clientId: 'c', userId: '1' },
      { version: 1, owner: 'o', ttlMs: 1 },
    )
    expect(paper.statements[3]).toContain(`"lease_until" <= ${clock}`)
  })

  it('make the tables under a lock of the connection', async () => {
    const { db, paper } = onPaper()
    paper.rows = [{ id: null }]
    await migrate(db as unknown as Kysely<unknown>, () => 1)
    const all = paper.statements.join('\n')
    expect(all).toContain("exec sp_getapplock @Resource = 'bitrix24-bridge migrations'")
    expect(all).toContain(
      'create table "ledger" ("key" nvarchar(700) collate Latin1_General_100_BIN2 not null, "state"',
    )
    expect(all).toContain('"id" numeric(18,0) identity primary key')
    expect(all).toContain(
      'create index "embedded_messages_ready" on "embedded_messages" ("queue", "priority" desc, "id") where "state" = 0',
    )
    expect(all).toContain(
      '"created_at" numeric(18,0) not null default (cast(datediff_big(millisecond, \'1970-01-01\', sysutcdatetime())',
    )
    expect(all).toContain('"state" nvarchar(16) collate Latin1_General_100_BIN2 not null default \'new\'')
    expect(all).toContain('primary key ("member_id", "client_id")')
    expect(all).not.toMatch(/ text[ ,)]|limit |if not exists|blob|bigint/)
  })
})
