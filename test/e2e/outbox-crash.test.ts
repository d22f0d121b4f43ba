import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../conformance/broker.ts'
import { builtMain, needsBuilt } from '../support/built.ts'
import { DATABASES } from '../support/databases.ts'
import { insertDeals, type OutboxBench, openOutboxBench } from '../support/outbox.ts'

needsBuilt()

/** The service as a process of its own, killed when `doomed` resolves. */
async function runUntil({ bench }: OutboxBench, doomed: () => Promise<unknown>): Promise<void> {
  const child = spawn(process.execPath, [builtMain(), 'run'], {
    cwd: bench.folder,
    env: { ...bench.env, BRIDGE_LOG_FORMAT: 'json' } as NodeJS.ProcessEnv,
  })
  const exit = once(child, 'exit')
  onTestFinished(() => void child.kill('SIGKILL'))
  await doomed()
  child.kill('SIGKILL')
  await exit
}

for (const database of DATABASES)
  describe.skipIf(database.skip)(`a bridge that is killed, on ${database.name}${database.note}`, () => {
    it('leaves no row of the outbox behind, and doubles none', async () => {
      const one = await openOutboxBench(database, {
        started: false,
        // What was begun is left alone for the quiet period, where others may live.
        env: { BRIDGE_MAX_IN_FLIGHT: '1', BRIDGE_LIMITS: '8/8', BRIDGE_QUIET_PERIOD: '4' },
      })
      const { db } = one.store
      for (let i = 0; i < 12; i++)
        await insertDeals(
          one.store,
          Array.from({ length: 100 }, (_, j) => `crash ${i * 100 + j}`),
        )
      const chain = JSON.stringify([
        { method: 'crm.deal.add', params: { fields: { TITLE: 'after {{result}}' } } },
      ])
      await sql`update b24_outbox set then_run = ${chain} where id <= 100`.execute(db)
      for (let kill = 0; kill < 3; kill++) {
        const before = one.titles().length
        await runUntil(one, async () => {
          await eventually(() => expect(one.titles().length).toBeGreaterThan(before), 30_000)
          await sleep(kill * 60) // Somewhere in the middle of its work, each time elsewhere.
        })
        // Where others may live, what the dead one held is free when its lease is over.
        await sql`update b24_outbox set lease_until = 0 where state = 'taken'`.execute(db)
      }
      expect(one.titles().length).toBeLessThan(1200)
      await one.bench.start()
      const pending = () => sql`select id from b24_outbox where pending = 1`.execute(db)
      await eventually(async () => expect((await pending()).rows).toEqual([]), 60_000)
      const rows = await one.outbox()
      const replies = await one.inbox()
      expect(replies.map(({ outbox_id }) => Number(outbox_id)).sort((a, b) => a - b)).toEqual(
        rows.map(({ id }) => id),
      )
      const titles = one.titles()
      expect(new Set(titles).size).toBe(titles.length)
      for (const { outcome, error_code, outbox_id } of replies) {
        expect(['done null', 'unknown OUTCOME_UNKNOWN']).toContain(`${outcome} ${error_code}`)
        const row = rows.find(({ id }) => id === Number(outbox_id))
        if (outcome === 'done') expect(titles).toContain(JSON.parse(row?.params).fields.TITLE)
      }
    }, 150_000)

    it('again and again by one row ends that row, and carries out what was in hand beside it', async () => {
      const one = await openOutboxBench(database, { started: false, env: { BRIDGE_MAX_IN_FLIGHT: '1' } })
      const { db } = one.store
      const { sandbox } = one.bench
      await sql`insert into b24_outbox (method, params) values ('crm.lead.get', '{"id":1}')`.execute(db)
      await insertDeals(
        one.store,
        Array.from({ length: 120 }, (_, i) => `beside ${i}`),
      )
      // Whoever carries the first row out is killed; what waits in the lane behind its request goes with it.
      sandbox.fault([{ kind: 'hang', times: 0, match: { method: 'crm.lead.get' } }])
      const tried = () => sandbox.stats().faults.hang ?? 0
      const ended = async () => (await one.outbox())[0]?.pending === 0
      for (let deaths = 0; !(await ended()); deaths++) {
        expect(deaths, 'kills until it was convicted').toBeLessThan(6)
        const before = tried()
        await runUntil(one, () =>
          eventually(async () => expect(tried() > before || (await ended())).toBe(true), 30_000),
        )
        // As when the time of its lease has passed: by then everybody knows that the process is gone, too.
        await sql`update b24_outbox set lease_until = 0 where state = 'taken'`.execute(db)
        await sql`update instances set seen_at = 0`.execute(db)
      }
      await one.bench.start()
      await eventually(async () => expect(await one.inbox()).toHaveLength(121), 60_000)
      const [poison, ...others] = await one.outbox()
      expect(poison).toMatchObject({ state: 'dead', attempts: 6 })
      expect(others.filter(({ state }) => state === 'dead' || state === 'failed')).toEqual([])
      const titles = one.titles()
      expect(new Set(titles).size).toBe(titles.length)
    }, 150_000)
  })
