import { sql } from 'kysely'
import { expect, it } from 'vitest'
import { eventually } from '../conformance/broker.ts'
import { openEventBench } from '../support/events.ts'
import type { Row } from '../support/outbox.ts'

it('events of the settings stand in the inbox too, once, and the others do not', async () => {
  const bench = await openEventBench({
    env: { BRIDGE_OUTBOX: 'on', BRIDGE_OUTBOX_EVENTS: 'event.*.oncrmdealupdate,app.*.onappuninstall' },
  })
  const inbox = async () =>
    (await sql<Row>`select * from b24_inbox where kind = 'event' order by id`.execute(bench.store.db)).rows
  const form = (event: string, id: string) => ({
    event,
    'data[FIELDS][ID]': id,
    ts: '1727018926',
    ...bench.auth(),
  })
  await bench.post(form('ONCRMLEADADD', '3'))
  await bench.post(form('ONCRMDEALUPDATE', '7'))
  await bench.events('ONCRMLEADADD')
  const [published] = await bench.events('ONCRMDEALUPDATE')
  await eventually(async () => expect(await inbox()).toHaveLength(1))
  const [row] = await inbox()
  expect(row).toMatchObject({
    kind: 'event',
    name: 'ONCRMDEALUPDATE',
    portal: bench.sandbox.identity().domain,
    message_id: published?.body.key,
    processed: 0,
  })
  expect(JSON.parse(row?.result)).toEqual({ FIELDS: { ID: '7' } })
  expect(JSON.parse(row?.details)).toMatchObject({ kind: 'event', application: 'local.events' })
  await bench.service.stop()
  await bench.start()
  await bench.post(form('ONCRMDEALUPDATE', '7'))
  await bench.events('ONCRMDEALUPDATE', 2)
  expect(await inbox()).toHaveLength(1)
})
