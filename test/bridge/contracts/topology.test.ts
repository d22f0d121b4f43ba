import { describe, expect, test } from 'vitest'
import {
  bitrix24BridgeReplyAddress,
  bitrix24BridgeTopology,
  checkReplyRoute,
  type FoundOut,
  nativeReplyAddress,
  nativeTopology,
  parseExchangeType,
  rabbitmqToBitrix24ReplyAddress,
  rabbitmqToBitrix24Topology,
} from '../../../src/bridge/contracts/topology.ts'

describe('native', () => {
  test('three durable quorum queues without arguments of their own', () => {
    expect(nativeTopology()).toEqual({
      mode: 'declare',
      exchanges: [],
      queues: ['b24.commands', 'b24.replies', 'b24.dead'].map((name) => ({
        name,
        durable: true,
        type: 'quorum',
      })),
      bindings: [],
    })
  })

  test('a reply goes to the queue that the command names, or to the reply queue', () => {
    expect(nativeReplyAddress({ replyTo: 'erp' })).toEqual({ exchange: '', routingKey: 'erp' })
    expect(nativeReplyAddress({})).toEqual({ exchange: '', routingKey: 'b24.replies' })
    expect(nativeReplyAddress({ replyTo: '' }, { replyQueue: 'r' })).toEqual({
      exchange: '',
      routingKey: 'r',
    })
  })
})

describe('bitrix24-bridge', () => {
  test('a durable topic exchange and two bound queues with no arguments at all', () => {
    const topology = bitrix24BridgeTopology()
    expect(topology).toEqual({
      mode: 'declare',
      exchanges: [{ name: 'bitrix24', type: 'topic', durable: true }],
      queues: [
        { name: 'bitrix24-command', durable: true, type: 'plain' },
        { name: 'bitrix24-info', durable: true, type: 'plain' },
      ],
      bindings: [
        { queue: 'bitrix24-command', exchange: 'bitrix24', routingKey: 'send.command' },
        { queue: 'bitrix24-info', exchange: 'bitrix24', routingKey: 'send.info' },
      ],
    })
    for (const queue of topology.queues) expect(queue).not.toHaveProperty('arguments')
  })

  test('every name is a setting', () => {
    const topology = bitrix24BridgeTopology({
      exchange: 'x',
      exchangeType: 'direct',
      exchangeDurable: false,
      queueDurable: false,
      commandQueue: 'in',
      commandRoutingKey: 'k.in',
      replyQueue: 'out',
      replyRoutingKey: 'k.out',
      topology: 'passive',
    })
    expect(topology).toMatchObject({
      mode: 'passive',
      exchanges: [{ name: 'x', type: 'direct', durable: false }],
      queues: [
        { name: 'in', durable: false },
        { name: 'out', durable: false },
      ],
      bindings: [{ routingKey: 'k.in' }, { routingKey: 'k.out' }],
    })
    expect(bitrix24BridgeTopology({ exchange: '' })).toMatchObject({ exchanges: [], bindings: [] })
  })

  test('replies go to the exchange, to reply_to only where that is allowed', () => {
    const byKey = { exchange: 'bitrix24', routingKey: 'send.info' }
    expect(bitrix24BridgeReplyAddress({})).toEqual(byKey)
    expect(bitrix24BridgeReplyAddress({ replyTo: 'q' })).toEqual(byKey)
    expect(bitrix24BridgeReplyAddress({ replyTo: 'q' }, { allowReplyTo: true })).toEqual({
      exchange: '',
      routingKey: 'q',
    })
    expect(bitrix24BridgeReplyAddress({}, { allowReplyTo: true })).toEqual(byKey)
  })

  test.each([
    ['TOPIC', 'topic'],
    ['Direct', 'direct'],
    [' fanout ', 'fanout'],
    ['HEADERS', 'headers'],
    ['x-delayed-message', 'topic'],
    ['', 'topic'],
  ])('the exchange type %j is %s', (text, type) => {
    expect(parseExchangeType(text)).toBe(type)
  })
})

describe('rabbitmq-to-bitrix24', () => {
  const neither: FoundOut = { exchangeExists: false, queueExists: false }
  const exchange: FoundOut = { exchangeExists: true, queueExists: false }
  const queue: FoundOut = { exchangeExists: false, queueExists: true }
  const both: FoundOut = { exchangeExists: true, queueExists: true }

  test('nothing is declared unless asked for', () => {
    const inQueue = { name: 'bitrix24in', durable: true, type: 'plain' }
    const outQueue = { name: 'bitrix24out', durable: true, type: 'plain' }
    expect(rabbitmqToBitrix24Topology()).toEqual({
      mode: 'passive',
      exchanges: [],
      queues: [inQueue],
      bindings: [],
    })
    expect(rabbitmqToBitrix24Topology({ replyMode: 'queue' }).queues).toEqual([inQueue, outQueue])
    expect(rabbitmqToBitrix24Topology({ replyMode: 'exchange' }).exchanges).toMatchObject([
      { name: 'bitrix24out' },
    ])
    expect(rabbitmqToBitrix24Topology({ topology: 'declare' }, neither).queues).toEqual([inQueue, outQueue])
    expect(rabbitmqToBitrix24Topology({ topology: 'declare' }, exchange).queues).toEqual([inQueue])
    expect(rabbitmqToBitrix24Topology({ topology: 'declare' }).queues).toEqual([inQueue])
  })

  test.each([
    ['an exchange and reply_to', exchange, 'q', { exchange: 'bitrix24out', routingKey: 'q' }],
    ['both and reply_to', both, 'q', { exchange: 'bitrix24out', routingKey: 'q' }],
    ['both without reply_to', both, undefined, { exchange: '', routingKey: 'bitrix24out' }],
    ['a queue and reply_to', queue, 'q', { exchange: '', routingKey: 'bitrix24out' }],
    ['a queue without reply_to', queue, undefined, { exchange: '', routingKey: 'bitrix24out' }],
    ['an exchange without reply_to', exchange, undefined, { exchange: 'bitrix24out', routingKey: '' }],
    ['an exchange and an empty reply_to', exchange, '', { exchange: 'bitrix24out', routingKey: '' }],
  ])('auto with %s', (_, found, replyTo, address) => {
    const message = replyTo === undefined ? {} : { replyTo }
    expect(rabbitmqToBitrix24ReplyAddress(message, {}, found)).toEqual(address)
  })

  test('a set mode does not look at what exists', () => {
    for (const found of [neither, exchange, queue, both]) {
      const to = (replyMode: 'exchange' | 'queue' | 'reply_to', replyTo?: string) =>
        rabbitmqToBitrix24ReplyAddress(
          replyTo === undefined ? {} : { replyTo },
          { replyMode, out: 'o' },
          found,
        )
      expect(to('exchange', 'q')).toEqual({ exchange: 'o', routingKey: 'q' })
      expect(to('exchange')).toEqual({ exchange: 'o', routingKey: '' })
      expect(to('queue', 'q')).toEqual({ exchange: '', routingKey: 'o' })
      expect(to('reply_to', 'q')).toEqual({ exchange: '', routingKey: 'q' })
      expect(to('reply_to')).toEqual({ exchange: '', routingKey: 'o' })
    }
  })

  test('auto refuses to start when replies have nowhere to go', () => {
    expect(() => checkReplyRoute({}, neither)).toThrow('neither an exchange nor a queue named bitrix24out')
    for (const found of [exchange, queue, both]) expect(() => checkReplyRoute({}, found)).not.toThrow()
    expect(() => checkReplyRoute({ topology: 'declare' }, neither)).not.toThrow()
    expect(() => checkReplyRoute({ replyMode: 'queue' }, neither)).not.toThrow()
  })
})
