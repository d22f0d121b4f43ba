import { expect, it } from 'vitest'
import { boundSpool } from '../../../src/bridge/events/spool-bound.ts'
import type { PortalEvent } from '../../../src/model/event.ts'
import { eventRecords } from '../../../src/stores/events.ts'
import { openStore } from '../../../src/stores/open.ts'
import { unlockStore } from '../../../src/stores/unlock.ts'

const event = (key: number): PortalEvent => ({
  kind: 'event',
  memberId: 'm',
  domain: 'd',
  event: 'ONCRMDEALUPDATE',
  data: {},
  receivedAt: 0,
  key: `${key}`,
})

it('takes so many events and no more, says so once a minute, and takes others when some are gone', async () => {
  const address = 'sqlite::memory:'
  const store = await openStore(address, { now: Date.now })
  const secrets = await unlockStore(store, { address, given: undefined, production: false, now: Date.now })
  const { spool } = eventRecords(store.db, secrets, Date.now)
  let now = 0
  const lines: string[] = []
  const bound = () => boundSpool(spool, { most: 5, now: () => now, log: (line) => lines.push(line) })
  const one = bound()
  const full = { code: 'EVENT_SPOOL_FULL' }
  await one.append([1, 2, 3].map(event))
  await expect(one.append([4, 5, 6].map(event))).rejects.toMatchObject(full)
  await one.append([4, 5].map(event))
  await expect(one.append([event(6)])).rejects.toMatchObject(full)
  expect(lines).toEqual(['event.spool-full'])
  now += 60_000
  await expect(bound().append([event(6)]), 'by a process that has just begun').rejects.toMatchObject(full)
  await expect(one.append([event(6)])).rejects.toMatchObject(full)
  expect(lines).toHaveLength(3)
  await spool.remove((await spool.oldest(2)).map(({ id }) => id))
  now += 1000
  await one.append([6, 7].map(event))
  await expect(one.append([event(8)])).rejects.toMatchObject(full)
  await one.remove((await one.oldest(1)).map(({ id }) => id))
  await one.append([event(8)])
  expect((await spool.oldest(10)).map(({ event: { key } }) => key)).toEqual(['4', '5', '6', '7', '8'])
  await store.close()
})
