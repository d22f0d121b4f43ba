import { writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { run } from '../cli/support/command-line.ts'
import { eventually } from '../conformance/broker.ts'
import { CLIENT_ID, type EventBench, openEventBench } from '../support/events.ts'
import { asApplication, bindOffline, changeDeals, drained, nudge, rowCounts } from '../support/offline.ts'

const TOKEN = 'adm1n-t0ken-of-the-tests'
const ENV = { BRIDGE_OFFLINE_POLL: '1', BRIDGE_OFFLINE_IDLE_POLL: '1', BRIDGE_ADMIN_TOKEN: TOKEN }

/** Hides the oldest rows of the queue of a connector, as the bridge does with what no broker takes. */
async function hide(bench: EventBench, count: number, connector = ''): Promise<void> {
  const of = connector === '' ? {} : { auth_connector: connector }
  const { result } = await asApplication(bench, 'event.offline.get', { clear: 0, limit: count, ...of })
  const ids = result.events.map((row: { MESSAGE_ID: string }) => row.MESSAGE_ID)
  const given = { process_id: result.process_id, message_id: ids, ...of }
  expect((await asApplication(bench, 'event.offline.error', given)).result).toBe(true)
}

async function errors(bench: EventBench, init: RequestInit & { query?: string } = {}) {
  const answer = await fetch(`${bench.service.url}/v1/events/errors${init.query ?? ''}`, {
    ...init,
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
  })
  // biome-ignore lint/suspicious/noExplicitAny: tests reach into any answer
  return { status: answer.status, body: (await answer.json()) as any }
}

function release(bench: EventBench, body: object) {
  return errors(bench, { method: 'POST', body: JSON.stringify(body) })
}

it('shows the events that a portal hides, and fetches them once they are released over HTTP', async () => {
  const bench = await openEventBench({ env: ENV })
  await bindOffline(bench)
  await bindOffline(bench, 'erp')
  await changeDeals(bench, 7, 3)
  await hide(bench, 2)
  await nudge(bench)
  await bench.events('ONCRMDEALUPDATE', 4)
  const { body } = await errors(bench)
  expect(body).toEqual({
    queues: [
      {
        portal: bench.memberId,
        application: CLIENT_ID,
        connector: '',
        total: 2,
        events: [1, 2].map(() => ({
          id: expect.stringMatching(/^\d+$/),
          event: 'ONCRMDEALUPDATE',
          message_id: expect.stringMatching(/^[0-9a-f]{32}$/),
          seen_at: expect.any(String),
          bytes: expect.any(Number),
        })),
      },
    ],
    next: null,
  })
  expect(await release(bench, { portal: bench.memberId, connector: 'erp' })).toMatchObject({
    body: { released: 0 },
  })
  const domain = bench.sandbox.identity().domain
  expect(await release(bench, { portal: domain })).toEqual({ status: 200, body: { released: 2 } })
  await drained(bench)
  expect(await bench.events('ONCRMDEALUPDATE', 6)).toHaveLength(6)
  expect(rowCounts(bench)).toMatchObject({ queued: 6, cleared: 6, lost: 0 })
  expect((await errors(bench, { query: `?portal=${bench.memberId}` })).body.queues).toEqual([])
})

it('fetches what another process released, page by page', async () => {
  const bench = await openEventBench({ env: { ...ENV, BRIDGE_OFFLINE_LIMIT: '5' } })
  await bindOffline(bench)
  await nudge(bench)
  await bench.sandbox.changeData({ do: 'change', entity: 'deal', id: 1, count: 12 })
  await hide(bench, 12)
  const cli = (line: string) =>
    run(line.split(' '), { env: bench.env as Record<string, string>, cwd: bench.folder, input: '' })
  const shown = await cli('events errors')
  expect(shown).toMatchObject({ code: 0, out: expect.stringContaining('12 hidden') })
  expect(await cli(`events release ${bench.memberId}`)).toMatchObject({
    code: 0,
    out: 'released: 12 events\n',
  })
  await drained(bench)
  expect(await cli('events errors --json')).toMatchObject({ code: 0, out: '{"ok":true,"queues":[]}\n' })
  expect(await cli('events release nowhere.example')).toMatchObject({ code: 2 })
})

it('says of which portal it does not know, and asks nobody without the token', async () => {
  const bench = await openEventBench({ env: ENV })
  expect(await errors(bench, { query: '?portal=nowhere.example' })).toMatchObject({
    status: 404,
    body: { error: 'PORTAL_UNKNOWN' },
  })
  expect(await release(bench, {})).toMatchObject({ status: 400, body: { error: 'ERRORS_INVALID' } })
  expect(await release(bench, { portal: bench.memberId })).toMatchObject({
    status: 404,
    body: { error: 'QUEUE_UNKNOWN' },
  })
  const answer = await fetch(`${bench.service.url}/v1/events/errors`)
  expect(answer.status).toBe(401)
})

it('looks at the handlers again within a minute when another process has bound some', async () => {
  const bench = await openEventBench({ env: ENV })
  const { db } = bench.store
  const queues = async () => (await db.selectFrom('offline_pumps').selectAll().execute()).length
  await eventually(async () => {
    const seen = await db.selectFrom('offline_sources').select('seen_at').execute()
    expect(seen.map(({ seen_at: at }) => Number(at) > 0)).toEqual([true])
  }, 30_000)
  expect(await queues()).toBe(0)
  writeFileSync(`${bench.folder}/file.yaml`, "portals: '*'\noffline: [ONCRMDEALUPDATE]\n")
  const env = { ...bench.env, BRIDGE_PUBLIC_URL: 'https://bridge.example' } as Record<string, string>
  const applied = await run(['events', 'apply', 'file.yaml'], { env, cwd: bench.folder, input: '' })
  expect(applied).toMatchObject({ code: 0, err: '' })
  await eventually(async () => expect(await queues()).toBe(1), 40_000)
  await changeDeals(bench, 7)
  await drained(bench, 30_000)
  expect(await bench.events('ONCRMDEALUPDATE')).toHaveLength(1)
}, 120_000)
