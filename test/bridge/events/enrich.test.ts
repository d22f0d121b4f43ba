import { expect, it, onTestFinished } from 'vitest'
import { createEnricher } from '../../../src/bridge/events/enrich.ts'
import { createLanes } from '../../../src/bridge/lanes.ts'
import { createTransport } from '../../../src/client/transport.ts'
import type { PortalEvent } from '../../../src/model/event.ts'
import { parseWebhook, webhookCredential } from '../../../src/model/webhook.ts'
import { createSandbox } from '../../../src/sandbox/index.ts'

async function open(patterns: readonly string[], waitMs = 5000) {
  const sandbox = await createSandbox({ limits: 'off', deals: 200 })
  const transport = createTransport()
  const lanes = createLanes({ lane: { transport, limit: null, portalWaitMs: 60_000 }, now: Date.now })
  onTestFinished(async () => {
    await lanes.close(0)
    await transport.close()
    await sandbox.close()
  })
  const credential = webhookCredential(parseWebhook(sandbox.webhookUrl))
  const counts: { read: number; failed: number }[] = []
  let clock = 0
  const enricher = createEnricher({
    portals: { find: async () => lanes.open(credential) },
    patterns,
    waitMs,
    now: () => clock,
    onEnriched: (one) => counts.push(one),
  })
  const pass = (ms: number): void => {
    clock += ms
  }
  return { sandbox, enricher, counts, pass }
}

function told(event: string, id: number, fields: Record<string, string> = {}): PortalEvent {
  const data = event.startsWith('ONTASK')
    ? { FIELDS_AFTER: { ID: String(id) } }
    : { FIELDS: { ID: String(id), ...fields } }
  return { kind: 'event', memberId: 'm', domain: 'd', event, data, receivedAt: 0, key: `${event} ${id}` }
}

it('asks for a hundred records in two requests, and for each object once', async () => {
  const { sandbox, enricher, counts } = await open(['ONCRM*UPDATE'])
  const events = Array.from({ length: 300 }, (_, index) => told('ONCRMDEALUPDATE', 1 + (index % 100)))
  const made = await enricher.enrich(events)
  expect(made.map(({ key }) => key)).toEqual(events.map(({ key }) => key))
  for (const { record, data } of made) expect(record?.ID).toBe((data.FIELDS as { ID: string }).ID)
  expect(sandbox.stats()).toMatchObject({ requests: 2, commands: { 'crm.deal.get': 100 } })
  expect(counts).toEqual([{ read: 300, failed: 0 }])
})

it('reads tasks and items in their own way, and leaves alone what was not asked for or is gone', async () => {
  const { enricher } = await open(['*'])
  const [task, item, gone, field, foreign] = await enricher.enrich([
    told('ONTASKUPDATE', 3),
    told('ONCRMDYNAMICITEMUPDATE', 4, { ENTITY_TYPE_ID: '2' }),
    told('ONCRMDEALDELETE', 5),
    told('ONCRMDEALUSERFIELDADD', 6),
    told('ONIMBOTMESSAGEADD', 7),
  ])
  expect(task?.record).toMatchObject({ id: '3', title: 'Task 3' })
  expect(item?.record).toMatchObject({ id: 4, title: 'Deal 4' })
  for (const event of [gone, field, foreign]) {
    expect(event).not.toHaveProperty('record')
    expect(event).not.toHaveProperty('recordError')
  }
  const { enricher: choosy } = await open(['ONCRMLEAD*'])
  const plain = [told('ONCRMDEALUPDATE', 1)]
  expect(await choosy.enrich(plain)).toBe(plain)
})

it('gives up a portal that does not answer, and asks it again after a rest only', async () => {
  const { sandbox, enricher, pass } = await open(['*'], 200)
  sandbox.fault([{ kind: 'hang', match: { method: 'crm.deal.get' }, times: 0 }])
  const late = await enricher.enrich([told('ONCRMDEALUPDATE', 1), told('ONCRMDEALUPDATE', 2)])
  expect(late.map(({ recordError }) => recordError)).toEqual(['RECORD_LATE', 'RECORD_LATE'])
  sandbox.fault([])
  const { requests } = sandbox.stats()
  const [resting] = await enricher.enrich([told('ONCRMDEALUPDATE', 3)])
  expect(resting?.recordError).toBe('RECORD_LATE')
  expect(sandbox.stats().requests).toBe(requests)
  pass(30_000)
  const [awake] = await enricher.enrich([told('ONCRMDEALUPDATE', 3)])
  expect(awake?.record).toMatchObject({ ID: '3' })
})

it('says why a record is missing: it is gone, too large, or the portal refuses', async () => {
  const { sandbox, enricher } = await open(['*'])
  const { ids } = await sandbox.changeData({
    do: 'add',
    entity: 'deal',
    fields: { TITLE: 'x', COMMENTS: 'y'.repeat(300_000) },
  })
  const made = await enricher.enrich([told('ONCRMDEALUPDATE', 9999), told('ONCRMDEALUPDATE', ids[0]!)])
  expect(made.map(({ recordError }) => recordError)).toEqual(['RECORD_MISSING', 'RECORD_TOO_LARGE'])
  sandbox.change({ scopes: { s3cr3t: ['user'] } })
  const [refused] = await enricher.enrich([told('ONCRMDEALUPDATE', 1)])
  expect(refused?.recordError).toBe('insufficient_scope')
})
