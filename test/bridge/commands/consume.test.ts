import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { consumeCommands } from '../../../src/bridge/commands/consume.ts'
import type { LedgerStore } from '../../../src/bridge/commands/ledger.ts'
import { createNativeContract } from '../../../src/bridge/contracts/native.ts'
import { DEAD_HEADERS } from '../../../src/bridge/dead/headers.ts'
import type { Address, Broker, Delivery, Message } from '../../../src/brokers/broker.ts'
import { Turns } from '../../../src/util/turns.ts'
import { portalAt, sharedLedgers } from '../../support/ledger.ts'
import {
  batchText,
  type PortalAnswer,
  type PortalRequest,
  scriptedPortal,
} from '../../support/scripted-portal.ts'

/** A queue whose deliveries the test hands out itself, as a broker does whose acknowledgements get lost. */
async function served({
  answer,
  queue = 'commands',
  storeFor = (store) => store,
}: {
  readonly answer: (request: PortalRequest, index: number) => PortalAnswer | Promise<PortalAnswer>
  readonly queue?: string
  readonly storeFor?: (store: LedgerStore) => LedgerStore
}) {
  const portal = await scriptedPortal(answer)
  const { store, open } = await sharedLedgers(75_000)
  const published: { readonly address: Address; readonly message: Message }[] = []
  const logged: { readonly event: string; readonly err?: unknown }[] = []
  let handOut: (delivery: Delivery) => void = () => undefined
  const broker = {
    features: { delayedRequeue: false, network: true },
    consume: async (_queue: string, _options: unknown, take: (delivery: Delivery) => void) => {
      handOut = take
      return { stop: async () => undefined, abandon: async () => undefined }
    },
    publish: async (address: Address, message: Message) => {
      published.push({ address, message })
    },
  } as unknown as Broker
  let ids = 0
  const found = portalAt(portal.webhook)
  const consumer = await consumeCommands({
    broker,
    queue,
    originQueue: 'commands',
    prefetch: 100,
    contract: createNativeContract(),
    portals: { find: async () => found, list: () => [found], close: async () => undefined },
    ledger: open(storeFor(store)),
    replyAddress: () => ({ exchange: '', routingKey: 'replies' }),
    deadQueue: 'dead',
    turns: new Turns(),
    now: Date.now,
    newId: () => `id-${ids++}`,
    onSettled: () => undefined,
    log: (event, fields) => void logged.push({ event, ...fields }),
  })
  onTestFinished(async () => void (await consumer.drain(1000)))
  const on = (name: string): Message[] =>
    published.filter(({ address }) => address.routingKey === name).map(({ message }) => message)
  /** Hands out a command and waits for its end. */
  async function deliver(
    command: Record<string, unknown>,
    more: Partial<Delivery> & {
      readonly headers?: Message['headers']
      readonly messageId?: string
      readonly expired?: boolean
    } = {},
  ): Promise<void> {
    const { headers = {}, messageId = 'm-1', expired = false, ...rest } = more
    await new Promise<void>((resolve) => {
      const take = expired ? (delivery: Delivery) => consumer.answerExpired(delivery) : handOut
      take({
        message: { body: Buffer.from(JSON.stringify(command)), headers, messageId },
        queue,
        exchange: '',
        routingKey: queue,
        redelivered: false,
        deliveryCount: 0,
        lost: false,
        ack: resolve,
        requeue: () => resolve(),
        ...rest,
      })
    })
  }
  const outcomes = (): unknown[] => on('replies').map(({ headers }) => headers['x-b24-outcome'])
  return { portal, deliver, on, outcomes, logged }
}

const add = { method: 'crm.deal.add', params: { fields: { TITLE: 'A' } } }
const refused = { status: 400, text: '{"error":"ERROR_CORE","error_description":"not now"}' }
const firstRefused = (_: PortalRequest, index: number): PortalAnswer =>
  index === 0 ? refused : '{"result":7}'

describe('a command that has failed', () => {
  it('is answered with the same reply when it is handed out again, and is not sent', async () => {
    const { portal, deliver, outcomes, on } = await served({ answer: firstRefused })
    await deliver(add)
    await deliver(add, { redelivered: true })
    expect(outcomes()).toEqual(['failed', 'failed'])
    expect(on('replies')[1]?.body).toEqual(on('replies')[0]?.body)
    expect(portal.requests).toHaveLength(1)
  })

  it('is a new one when its sender publishes it again', async () => {
    const { portal, deliver, outcomes } = await served({ answer: firstRefused })
    await deliver(add)
    await sleep(5) // What comes in the same millisecond may have been there before.
    await deliver(add)
    expect(outcomes()).toEqual(['failed', 'done'])
    expect(portal.requests).toHaveLength(2)
  })

  it('is told from a repetition by when it was moved first, on another queue', async () => {
    const before = Date.now()
    const { deliver, outcomes } = await served({ answer: firstRefused })
    await deliver(add, { headers: { 'x-b24-first-seen': before } })
    await deliver(add, { headers: { 'x-b24-first-seen': before } })
    await deliver(add, { headers: { 'x-b24-first-seen': Date.now() + 1 } })
    expect(outcomes()).toEqual(['failed', 'failed', 'done'])
  })

  it('is not tried again on the queue of suspects, where it came with its moment of today', async () => {
    const { deliver, outcomes } = await served({ answer: firstRefused, queue: 'commands.suspect' })
    await deliver(add)
    await deliver(add, { headers: { 'x-b24-first-seen': Date.now() + 1 } })
    expect(outcomes()).toEqual(['failed', 'failed'])
  })

  it('runs when an operator sends its dead letter again, also when that comes twice', async () => {
    const { deliver, outcomes } = await served({ answer: firstRefused })
    await deliver(add)
    const headers = { [DEAD_HEADERS.retry]: 'letter-1' }
    await deliver(add, { headers, redelivered: true })
    await deliver(add, { headers, redelivered: true })
    expect(outcomes()).toEqual(['failed', 'done', 'done'])
  })

  it('because it expired in its queue is a new one when it is published again, and answered alike elsewhere', async () => {
    const taken = Date.now()
    const { portal, deliver, outcomes } = await served({ answer: () => '{"result":7}' })
    await deliver(add, { expired: true })
    await deliver(add, { headers: { 'x-b24-first-seen': taken } })
    expect(portal.requests).toHaveLength(0)
    await deliver(add)
    expect(outcomes()).toEqual(['failed', 'failed', 'done'])
  })

  it('and never left is answered alike as well', async () => {
    const { portal, deliver, outcomes } = await served({ answer: () => '{"result":7}' })
    const hopeless = { ...add, verify: 'xml_id' }
    await deliver(hopeless)
    await deliver(hopeless, { redelivered: true })
    expect(outcomes()).toEqual(['failed', 'failed'])
    expect(portal.requests).toHaveLength(0)
  })
})

describe('a batch that was carried out in part', () => {
  const cmd = Object.fromEntries(
    Array.from({ length: 60 }, (_, i) => [`c${i}`, `crm.deal.add?fields[TITLE]=${i}`]),
  )

  it('is answered from the ledger when it comes again, in whatever way', async () => {
    const { portal, deliver, on } = await served({
      // The deadline passes while the first of its two requests is under way.
      answer: (request) =>
        sleep(
          400,
          batchText(request, () => '1'),
        ),
    })
    const batch = { action: 'batch', params: { cmd }, deadlineMs: 200 }
    await deliver(batch)
    await deliver(batch)
    await deliver(batch, { redelivered: true })
    const replies = on('replies').map(({ body }) => JSON.parse(body.toString()))
    expect(replies[0]).toMatchObject({ outcome: 'failed', error: { code: 'BATCH_INCOMPLETE' } })
    expect(Object.keys(replies[0].result)).toHaveLength(50)
    expect(replies).toEqual([replies[0], replies[0], replies[0]])
    expect(portal.requests.flatMap(({ commands }) => commands)).toHaveLength(50)
  })
})

describe('a fault in a hook of the bridge', () => {
  it('is set aside with its stack, and is not held as if the store were away', async () => {
    const { portal, deliver, on, outcomes, logged } = await served({
      answer: () => '{"result":7}',
      storeFor: (store) => ({
        ...store,
        started: async (rows) => {
          if (rows.some(({ key }) => key.endsWith('m-bad'))) throw new TypeError('x is not a function')
          return store.started(rows)
        },
      }),
    })
    await deliver(add, { messageId: 'm-bad' })
    await deliver(add, { messageId: 'm-good' })
    expect(outcomes()).toEqual(['done'])
    expect(portal.requests).toHaveLength(1)
    expect(on('dead').map(({ headers }) => headers[DEAD_HEADERS.reason])).toEqual(['INTERNAL_ERROR'])
    const broken = logged.find(({ event }) => event === 'command.broken')
    expect(broken?.err).toBeInstanceOf(TypeError)
  })
})
