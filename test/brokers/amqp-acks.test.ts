import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Channel, Message } from 'amqplib'
import { describe, expect, it } from 'vitest'
import { AckWindow } from '../../src/brokers/amqp/acks.ts'

/** A channel that only writes down what is sent: `3` one, `..3` all up to it, `-3` handed back. */
function open() {
  const sent: string[] = []
  const tagOf = ({ fields }: Message): number => fields.deliveryTag
  const channel = {
    ack: (message: Message, allUpTo: boolean) => sent.push(`${allUpTo ? '..' : ''}${tagOf(message)}`),
    nack: (message: Message) => sent.push(`-${tagOf(message)}`),
  }
  return { sent, acks: new AckWindow(channel as unknown as Channel) }
}

describe('the window of acknowledgements', () => {
  it('sends one frame for all before the oldest that is still out, and one for each beyond it', async () => {
    const { sent, acks } = open()
    for (const tag of [1, 2, 3, 4, 5, 6]) acks.add(tag)
    for (const tag of [3, 1, 2, 6]) acks.ack(tag)
    acks.requeue(5)
    await nextTurn()
    expect(sent).toEqual(['-5', '6', '..3'])
    acks.ack(4)
    await nextTurn()
    expect(sent.slice(3)).toEqual(['4'])
    expect(acks.size).toBe(0)
  })

  it('does not grow while one delivery is stuck and thousands pass it by', async () => {
    const { sent, acks } = open()
    const prefetch = 100
    acks.add(1)
    let tag = 1
    for (let round = 0; round < 50; round++) {
      const some = Array.from({ length: prefetch - 1 }, () => ++tag)
      for (const one of some) acks.add(one)
      for (const one of some) acks.ack(one)
      expect(acks.size).toBeLessThanOrEqual(prefetch)
      await nextTurn()
      expect(acks.size).toBe(1)
    }
    expect(sent).toHaveLength(50 * (prefetch - 1))
    let idle = false
    acks.onIdle = () => {
      idle = true
    }
    acks.ack(1)
    await nextTurn()
    expect(sent.at(-1)).toBe('1')
    expect(idle).toBe(true)
  })

  it('sends nothing after its end', async () => {
    const { sent, acks } = open()
    acks.add(1)
    acks.ack(1)
    acks.close()
    acks.requeue(1)
    await nextTurn()
    expect(sent).toEqual([])
  })
})
