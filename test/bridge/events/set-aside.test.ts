import { expect, it } from 'vitest'
import { originalMessage } from '../../../src/bridge/dead/letter.ts'
import { createSetAside } from '../../../src/bridge/events/set-aside.ts'
import { createDurableOutlet } from '../../../src/bridge/events/spool.ts'
import { BrokerError } from '../../../src/model/errors.ts'
import type { PortalEvent } from '../../../src/model/event.ts'
import { deadLetterQueries } from '../../../src/stores/bound.ts'
import { eventRecords } from '../../../src/stores/events.ts'
import { openStore } from '../../../src/stores/open.ts'
import { unlockStore } from '../../../src/stores/unlock.ts'
import { eventually } from '../../conformance/broker.ts'

const tooLarge = new BrokerError('MESSAGE_TOO_LARGE', 'The message is too large')
const event = (key: string, text = ''): PortalEvent => ({
  kind: 'event',
  memberId: 'm',
  domain: 'd',
  event: 'ONCRMDEALUPDATE',
  data: { text },
  receivedAt: 1000,
  key,
})

async function openParts(where: 'store' | 'queue') {
  const address = 'sqlite::memory:'
  const store = await openStore(address, { now: Date.now })
  const secrets = await unlockStore(store, { address, given: undefined, production: false, now: Date.now })
  const letters = deadLetterQueries(store, secrets)
  const lost: string[] = []
  const published: string[] = []
  const broker = { connected: true, blocked: false }
  const durable = createDurableOutlet({
    outlet: {
      async publish({ key, data }) {
        if (String(data.text).length > 1000) throw tooLarge
        published.push(key)
      },
    },
    brokerState: () => broker,
    store: eventRecords(store.db, secrets, Date.now).spool,
    owner: 'me',
    now: Date.now,
    pollMs: 20,
    setAside: createSetAside({
      letters: where === 'store' ? letters : undefined,
      exchange: 'b24.events',
      now: () => 5000,
      onLost: ({ key }) => lost.push(key),
      log: () => undefined,
    }),
    log: () => undefined,
  })
  await durable.start()
  return { store, letters, durable, broker, lost, published }
}

it.each(['at once', 'out of the store'])(
  'an event that no broker can carry becomes a letter, %s',
  async (way) => {
    const { store, letters, durable, broker, lost, published } = await openParts('store')
    broker.connected = way === 'at once'
    const large = event('large', 'x'.repeat(2000))
    expect(await durable.keep(large)).toBe(way === 'at once' ? 'set-aside' : 'spooled')
    await durable.keep(event('small'))
    broker.connected = true
    await eventually(() => expect(published).toEqual(['small']))
    const { letters: found } = await letters.list({}, { limit: 10 })
    expect(found).toMatchObject([
      {
        kind: 'event',
        state: 'open',
        reason: 'EVENT_UNPUBLISHABLE',
        description: 'The message is too large',
        portal: 'm',
        messageId: 'large',
        target: { exchange: 'b24.events', routingKey: 'event.m.oncrmdealupdate' },
        diedAt: 5000,
      },
    ])
    const message = originalMessage((await letters.content(found[0]!.id))!)
    expect(JSON.parse(message.body.toString())).toMatchObject({ key: 'large', data: large.data })
    expect(message).toMatchObject({ type: 'ONCRMDEALUPDATE', headers: { 'x-b24-portal': 'm' } })
    expect(lost, 'looked for at the portal').toEqual(['large'])
    await durable.close()
    await store.close()
  },
)

it('without letters in the store such an event is refused, so that it counts as lost', async () => {
  const { store, durable, lost } = await openParts('queue')
  await expect(durable.keep(event('large', 'x'.repeat(2000)))).rejects.toBe(tooLarge)
  expect(lost).toEqual(['large'])
  await durable.close()
  await store.close()
})
