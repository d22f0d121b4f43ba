import { describe, expect, it } from 'vitest'
import { publishReply, type ReplyRoad } from '../../../src/bridge/commands/reply.ts'
import type { Address, Broker, Delivery, Message } from '../../../src/brokers/broker.ts'
import { openEmbeddedBroker } from '../../../src/brokers/embedded.ts'
import { BrokerError } from '../../../src/model/errors.ts'
import { openStore } from '../../../src/stores/open.ts'

/** The embedded broker with two queues, and an ear on what is published; `refuse` may say no first. */
async function road(refuse: (address: Address, message: Message) => BrokerError | undefined) {
  const store = await openStore('sqlite::memory:', { now: Date.now })
  const broker = await openEmbeddedBroker({ db: store.db, now: Date.now })
  const queues = ['replies', 'dead'].map((name) => ({ name, durable: true, type: 'plain' as const }))
  await broker.declare({ mode: 'declare', exchanges: [], queues, bindings: [] })
  const guarded: Broker = Object.create(broker, {
    publish: {
      value: async (address: Address, message: Message) => {
        const error = refuse(address, message)
        if (error !== undefined) throw error
        return broker.publish(address, message)
      },
    },
  })
  let now = 0
  const options: ReplyRoad = {
    broker: guarded,
    deadQueue: 'dead',
    // A minute passes between two looks at the clock: five minutes of trouble take six tries.
    now: () => (now += 60_000),
    newId: () => 'letter-1',
    log: () => undefined,
  }
  const close = async (): Promise<void> => {
    await broker.close()
    await store.close()
  }
  return { options, broker, close }
}

const delivery = { queue: 'commands', message: { body: Buffer.alloc(0), headers: {} } } as unknown as Delivery
const reply = {
  address: { exchange: '', routingKey: 'replies' },
  message: { body: Buffer.from('{"result":1}'), headers: {} },
}
const small = { ...reply, message: { body: Buffer.from('{}'), headers: {} } }

describe('a reply', () => {
  it('goes among the dead letters with its address when its queue refuses it for five minutes, and is not given back', async () => {
    const { options, broker, close } = await road(({ routingKey }) =>
      routingKey === 'replies' ? new BrokerError('NACKED', 'full') : undefined,
    )
    await publishReply(options, delivery, reply, () => small)
    const kept = await broker.get('dead')
    expect(kept?.message.body.toString()).toBe('{"result":1}')
    expect(kept?.message.headers).toMatchObject({
      'x-b24-reason': 'REPLY_REFUSED',
      'x-b24-reply-routing-key': 'replies',
    })
    await close()
  })

  it('is replaced by a small one when the broker takes no message of its size', async () => {
    const { options, broker, close } = await road((_, { body }) =>
      body.length > 5 ? new BrokerError('MESSAGE_TOO_LARGE', 'too large') : undefined,
    )
    await publishReply(options, delivery, reply, () => small)
    expect((await broker.get('replies'))?.message.body.toString()).toBe('{}')
    await close()
  })

  it('is given back only when the broker is being closed', async () => {
    const { options, close } = await road(() => new BrokerError('BROKER_CLOSED', 'closed'))
    await expect(publishReply(options, delivery, reply, () => small)).rejects.toMatchObject({
      code: 'BROKER_CLOSED',
    })
    await close()
  })
})
