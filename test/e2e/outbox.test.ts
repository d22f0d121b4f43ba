import { sql } from 'kysely'
import pino from 'pino'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readConfig } from '../../src/config/read.ts'
import { createSandbox } from '../../src/sandbox/index.ts'
import { startService } from '../../src/service.ts'
import { tryAlone } from '../../src/stores/queries/trials.ts'
import { saveWebhook } from '../../src/stores/queries/webhooks.ts'
import { openSealer } from '../../src/stores/seal.ts'
import { openSecrets } from '../../src/stores/secrets.ts'
import { eventually } from '../conformance/broker.ts'
import { DATABASES } from '../support/databases.ts'
import { insertDeals, insertRow, openOutboxBench } from '../support/outbox.ts'

for (const database of DATABASES)
  describe.skipIf(database.skip)(`rows of the outbox on ${database.name}${database.note}`, () => {
    it('are carried out like commands, and answered by rows', async () => {
      const { insert, reply, row } = await openOutboxBench(database)
      const read = await insert({
        method: 'crm.deal.get',
        params: '{"id":7}',
        meta: '{"order":90071992547409931}',
      })
      expect(await reply(read)).toMatchObject({
        kind: 'reply',
        name: 'crm.deal.get',
        outcome: 'done',
        status_code: 200,
        error: null,
        meta: '{"order":90071992547409931}',
        processed: 0,
        callback_state: null,
      })
      expect(JSON.parse((await reply(read)).result)).toMatchObject({ ID: '7' })
      expect(await row(read)).toMatchObject({ state: 'done', pending: 0, attempts: 1, last_error: null })
      const listed = await insert({ method: 'crm.deal.list', action: 'list' })
      expect(JSON.parse((await reply(listed)).result)).toHaveLength(60)
      const cmd = { a: 'crm.deal.get?id=1', b: 'crm.deal.get?id=2' }
      const batch = await insert({ method: 'batch', params: JSON.stringify({ cmd }) })
      expect(JSON.parse((await reply(batch)).result)).toMatchObject({ a: { ID: '1' }, b: { ID: '2' } })
    })

    it('are counted', async () => {
      const { bench, insert, reply } = await openOutboxBench(database)
      await reply(await insert({ method: 'crm.deal.get', params: '{"id":7}' }))
      await reply(await insert({ method: 'crm.deal.get', params: 'none' }))
      await eventually(async () => {
        const page = await (await fetch(`${bench.service.url}/metrics`)).text()
        expect(page).toContain('b24_outbox_rows_total{state="done"} 1\n')
        expect(page).toContain('b24_outbox_rows_total{state="failed"} 1\n')
        expect(page).toContain('b24_outbox_depth{state="new"} 0\n')
      }, 20_000) // The tables are counted every fifteen seconds.
    })

    it('do nothing when the transaction that wrote them is taken back', async () => {
      const { store, insert, reply, titles, outbox } = await openOutboxBench(database)
      const order = store.db.transaction().execute(async (transaction) => {
        await insertDeals({ db: transaction }, ['never'])
        throw new Error('the order was cancelled')
      })
      await expect(order).rejects.toThrow('cancelled')
      await store.db.transaction().execute((transaction) => insertDeals({ db: transaction }, ['sold']))
      // Of a later row the reply is there: an earlier one would have been taken before.
      await reply(await insert({ method: 'crm.deal.get', params: '{"id":1}' }))
      await eventually(() => expect(titles()).toEqual(['sold']))
      expect(await outbox()).toHaveLength(2)
    })

    it('that are wrong end as failed with a reason, and hold nobody up', async () => {
      const { store, outbox, inbox, titles } = await openOutboxBench(database, { started: false }).then(
        async (one) => {
          const wrong: Record<string, string>[] = [
            { method: 'crm.deal.get', params: '{"id":' },
            { params: '{}' },
            { method: 'no such/method' },
            { method: 'crm.deal.get', params: '"text"' },
            { method: 'crm.unknown.thing' },
            { method: 'crm.deal.get', params: '{"id":999999}' },
            { method: 'crm.deal.get', portal: 'nobody.example' },
            { method: 'crm.deal.get', options: '{"methud":1}' },
            { method: 'crm.deal.get', meta: 'order 7' },
            { method: 'crm.deal.get', callback: 'mailto:me' },
            { method: 'crm.deal.add', then_run: '[{"method":"m","params":"{{reslt}}"}]' },
            { method: 'crm.deal.get', action: 'dance' },
          ]
          for (const row of wrong) {
            await insertRow(one.store, row)
            await insertDeals(one.store, [`beside ${wrong.indexOf(row)}`])
          }
          await one.bench.start()
          return one
        },
      )
      await eventually(async () => expect(await inbox()).toHaveLength(24))
      expect(titles().sort()).toEqual(Array.from({ length: 12 }, (_, i) => `beside ${i}`).sort())
      const replies = await inbox()
      const rows = await outbox()
      const codes = rows
        .filter(({ state }) => state === 'failed')
        .map(({ id, last_error }) => {
          const reply = replies.find(({ outbox_id }) => Number(outbox_id) === id)
          expect(reply).toMatchObject({ outcome: 'failed', result: null })
          expect(last_error).toBe(`${reply?.error_code}: ${reply?.error}`)
          return reply?.error_code
        })
      expect(codes).toEqual([
        'COLUMN_NOT_JSON',
        'METHOD_MISSING',
        'METHOD_INVALID',
        'PARAMS_INVALID',
        'ERROR_METHOD_NOT_FOUND',
        'ERROR',
        'PORTAL_UNKNOWN',
        'KEY_UNKNOWN',
        'COLUMN_NOT_JSON',
        'CALLBACK_INVALID',
        'CHAIN_REFERENCE_INVALID',
        'ACTION_UNKNOWN',
      ])
      expect(await sql`select id from b24_outbox where pending = 1`.execute(store.db)).toMatchObject({
        rows: [],
      })
    })

    it('travel fifty a request', async () => {
      const one = await openOutboxBench(database, { started: false })
      for (let i = 0; i < 20; i++)
        await insertDeals(
          one.store,
          Array.from({ length: 50 }, (_, j) => `deal ${i * 50 + j}`),
        )
      await one.bench.start()
      await eventually(() => expect(one.titles()).toHaveLength(1000), 30_000)
      const { requests } = one.bench.sandbox.stats()
      expect(requests).toBeLessThanOrEqual(25)
      await eventually(async () => expect(await one.inbox()).toHaveLength(1000), 30_000)
    })

    it('with an order key run in the order of their ids', async () => {
      const one = await openOutboxBench(database, { started: false, env: { BRIDGE_OUTBOX_POLL: '3600' } })
      for (let i = 0; i < 12; i++)
        await insertRow(one.store, {
          method: 'crm.deal.add',
          params: JSON.stringify({ fields: { TITLE: `step ${i}` } }),
          order_key: 'order 7',
        })
      await one.bench.start()
      await eventually(() => expect(one.titles()).toEqual(Array.from({ length: 12 }, (_, i) => `step ${i}`)))
    })

    it('with one message id change things once, and all get the reply', async () => {
      const one = await openOutboxBench(database, { started: false })
      const row = {
        method: 'crm.deal.add',
        params: '{"fields":{"TITLE":"once"}}',
        message_id: 'order-7',
        then_run: '[{"method":"crm.deal.add","params":{"fields":{"TITLE":"after {{result}}"}}}]',
      }
      for (let i = 0; i < 3; i++) await insertRow(one.store, row)
      await insertRow(one.store, { ...row, params: '{"fields":{"TITLE":"another"}}' })
      await one.bench.start()
      await eventually(async () => expect((await one.inbox()).length).toBe(7))
      const replies = await one.inbox()
      const first = replies.filter(({ chain_step, outcome }) => chain_step === 0 && outcome === 'done')
      expect(new Set(first.map(({ result }) => result)).size).toBe(1)
      expect(one.titles()).toEqual(['once', `after ${first[0]?.result}`])
      expect(replies.filter(({ outcome }) => outcome === 'failed')).toMatchObject([
        { error_code: 'MESSAGE_ID_REUSED' },
      ])
    })

    it('are unknown when the answer to a write was lost, unless they say how to look', async () => {
      const one = await openOutboxBench(database, { env: { BRIDGE_QUIET_PERIOD: '1' } })
      one.bench.sandbox.fault([{ kind: 'reset-after', match: { method: 'crm.deal.add' }, times: 2 }])
      const lost = await one.insert({ method: 'crm.deal.add', params: '{"fields":{"TITLE":"lost"}}' })
      expect(await one.reply(lost)).toMatchObject({ outcome: 'unknown', result: null })
      expect(await one.row(lost)).toMatchObject({ state: 'unknown', pending: 0 })
      const params = '{"fields":{"TITLE":"found"}}'
      const found = await one.insert({ method: 'crm.deal.add', params, options: '{"verify":"origin"}' })
      expect(await one.reply(found)).toMatchObject({ outcome: 'done' })
      expect(one.titles()).toEqual(['lost', 'found'])
    })

    it('that processes ended with are dead, and those that were only taken often are carried out', async () => {
      const one = await openOutboxBench(database, { started: false })
      await insertRow(one.store, { method: 'crm.deal.get', params: '{"id":1}', attempts: 5 })
      await insertRow(one.store, { method: 'crm.deal.get', params: '{"id":1}', attempts: 5 })
      const note = `outbox 1 ${Number((await one.row(1)).created_at)}`
      for (const owner of ['dead one', 'dead two'])
        await tryAlone(one.store.db, { id: note, owner, now: Date.now() })
      await one.bench.start()
      expect(await one.reply(1)).toMatchObject({ outcome: 'failed', error_code: 'ROW_DEAD' })
      expect(await one.reply(2)).toMatchObject({ outcome: 'done' })
      expect((await one.outbox()).map(({ state }) => state)).toEqual(['dead', 'done'])
    })

    it('of a portal that is down do not keep those of another waiting', async () => {
      const one = await openOutboxBench(database, { started: false, env: { BRIDGE_PORTAL_WAIT: '60' } })
      const gone = await createSandbox({ limits: 'off' })
      const secrets = await openSecrets(
        one.store.db,
        openSealer({ keys: one.bench.env.BRIDGE_SECRET_KEY as string }),
        Date.now,
      )
      await saveWebhook(one.store.db, secrets, { url: gone.webhookUrl, name: 'gone' }, Date.now())
      const portal = new URL(gone.webhookUrl).host
      await gone.close()
      const more = async () => {
        for (let i = 0; i < 60; i++)
          await insertRow(one.store, { method: 'crm.deal.get', params: '{"id":1}', portal })
      }
      await more()
      await one.bench.start()
      const lane = () => one.bench.service.lanes().find(({ domain }) => domain === portal)
      await eventually(() => expect(lane()?.stats.trouble).toBeDefined())
      await more()
      const aside = async () =>
        (await one.outbox()).filter(
          ({ state, attempts, lease_until }) => state === 'new' && attempts === 0 && lease_until !== null,
        )
      await eventually(async () => expect(await aside()).toHaveLength(60))
      expect(await one.reply(await one.insert({ method: 'crm.deal.get', params: '{"id":1}' }))).toMatchObject(
        { outcome: 'done' },
      )
      expect((await one.outbox()).filter(({ state }) => state === 'failed')).toEqual([])
    })

    it('go back, unharmed, when the bridge stops, and on when it starts again', async () => {
      const one = await openOutboxBench(database, {
        env: { BRIDGE_LIMITS: '2/2', BRIDGE_MAX_IN_FLIGHT: '1' },
      })
      const all = Array.from({ length: 600 }, (_, i) => `stop ${i}`)
      await insertDeals(one.store, all.slice(0, 300))
      await insertDeals(one.store, all.slice(300))
      await eventually(() => expect(one.titles()).not.toEqual([]))
      await one.bench.service.stop()
      const rows = await one.outbox()
      expect(new Set(rows.map(({ state, attempts }) => `${state} ${attempts}`))).toEqual(
        new Set(['done 1', 'new 0']),
      )
      expect(rows.filter(({ state }) => state === 'done')).toHaveLength(one.titles().length)
      await one.bench.start({ ...one.bench.env, BRIDGE_LIMITS: 'off' })
      await eventually(() => expect(one.titles()).toHaveLength(600), 20_000)
      expect(new Set(one.titles())).toEqual(new Set(all))
    })

    it('wait for their time', async () => {
      const one = await openOutboxBench(database)
      const later = await one.insert({ method: 'crm.deal.get', not_before: Date.now() + 3_600_000 })
      await one.reply(await one.insert({ method: 'crm.deal.get', params: '{"id":1}' }))
      expect(await one.row(later)).toMatchObject({ state: 'new', attempts: 0 })
    })
  })

for (const database of DATABASES.filter(({ name }) => name !== 'SQLite'))
  describe.skipIf(database.skip)(`two bridges on ${database.name}${database.note}`, () => {
    it('share the rows without doubling', async () => {
      const one = await openOutboxBench(database, { started: false })
      const settled: unknown[] = []
      const stream = { write: (line: string) => void (line.includes('outbox.settled') && settled.push(line)) }
      const other = () =>
        startService(readConfig({ env: one.bench.env, cwd: one.bench.folder }), {
          logger: pino({ base: null }, stream),
        })
      for (let i = 0; i < 20; i++)
        await insertDeals(
          one.store,
          Array.from({ length: 100 }, (_, j) => `shared ${i * 100 + j}`),
        )
      const [service] = await Promise.all([other(), one.bench.start()])
      onTestFinished(async () => void (await service.stop()))
      await eventually(
        async () =>
          expect((await one.store.db.selectFrom('b24_inbox').select('id').execute()).length).toBe(2000),
        60_000,
      )
      expect(new Set(one.titles()).size).toBe(2000)
      expect(one.titles()).toHaveLength(2000)
      await eventually(() => {
        const mine = one.bench.logged('outbox.settled').length
        expect({ mine: mine > 0, theirs: settled.length > 0, all: mine + settled.length }).toEqual({
          mine: true,
          theirs: true,
          all: 2000,
        })
      })
    })
  })

const [, postgres] = DATABASES
describe.skipIf(postgres?.skip)(`PostgreSQL${postgres?.note}`, () => {
  it('tells of an insert, so that nobody waits for the next look', async () => {
    const one = await openOutboxBench(postgres!, { env: { BRIDGE_OUTBOX_POLL: '3600' } })
    await eventually(() => expect(one.bench.logged('outbox.ready')).toMatchObject([{ told: true }]))
    // The looks grow rare by themselves: after the one at six seconds the next is at twelve.
    await new Promise((resolve) => setTimeout(resolve, 6800))
    const id = await one.insert({ method: 'crm.deal.get', params: '{"id":7}' })
    await eventually(async () => expect(await one.row(id)).toMatchObject({ state: 'done' }), 5000)
  })

  it('tells again after the connection that listens was cut', async () => {
    const one = await openOutboxBench(postgres!, { started: false })
    let told = 0
    const listening = one.store.listen?.('b24_outbox', () => told++)
    onTestFinished(async () => listening?.close())
    await eventually(() => expect(told).toBe(1))
    await one.insert({ method: 'm' })
    await eventually(() => expect(told).toBe(2))
    await sql`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and query like 'listen%'`.execute(one.store.db)
    await eventually(() => expect(told).toBe(3))
    await one.insert({ method: 'm' })
    await eventually(() => expect(told).toBe(4))
  })
})
