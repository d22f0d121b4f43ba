import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import type { Trigger } from '../../src/sandbox/index.ts'
import { eventually } from '../conformance/broker.ts'
import { CLIENT_ID, type EventBench, openEventBench } from '../support/events.ts'

interface Answer {
  readonly outcome: string
  readonly error?: { readonly code: string; readonly description: string }
}

interface Desk extends EventBench {
  /** Puts a command on the queue and waits for its reply. */
  ask(command: object, id?: string): Promise<Answer>
  /** Registers something in the name of the application, through the queue. */
  register(method: string, params: object): Promise<void>
  /** What portals are given as a handler. */
  address(): string
  /** Has the portal call its handler, and gives what a consumer hears of it. */
  // biome-ignore lint/suspicious/noExplicitAny: tests reach into any event
  call(trigger: Trigger, name: string): Promise<any>
}

/** A portal that is known by an application, and by a webhook to which commands without a portal go. */
async function openDesk(): Promise<Desk> {
  const bench = await openEventBench({ env: (sandbox) => ({ BRIDGE_PORTAL: sandbox.webhookUrl }) })
  const { tool, env, memberId, sandbox } = bench
  const replies = new Map<string, Answer>()
  await tool.consume(env.BRIDGE_REPLY_QUEUE ?? '', { prefetch: 100 }, (delivery) => {
    const { body, correlationId = '' } = delivery.message
    replies.set(correlationId, JSON.parse(body.toString()))
    delivery.ack()
  })
  const ask = async (command: object, id: string = randomUUID()): Promise<Answer> => {
    replies.delete(id)
    const message = { body: Buffer.from(JSON.stringify(command)), headers: {}, messageId: id }
    await tool.publish({ exchange: '', routingKey: env.BRIDGE_COMMAND_QUEUE ?? '' }, message)
    await eventually(() => expect(replies.has(id)).toBe(true), 10_000)
    return replies.get(id) as Answer
  }
  return Object.assign(bench, {
    ask,
    address: () => new URL(bench.handler(), bench.service.url).href,
    async register(method: string, params: object): Promise<void> {
      const command = { method, params, portal: memberId, application: CLIENT_ID }
      expect(await ask(command), method).toMatchObject({ outcome: 'done' })
    },
    async call(trigger: Trigger, name: string) {
      const before = bench.consumed.length
      await sandbox.trigger(trigger)
      const heard = () => bench.consumed.slice(before).find(({ body }) => body.event === name)
      await eventually(() => expect(heard()).toBeDefined(), 10_000)
      return heard()?.body
    },
  })
}

/** How a consumer names the portal and the application that asked. */
const back = (event: { portal: { member_id: string }; application: string }) => ({
  portal: event.portal.member_id,
  application: event.application,
})
const CONTEXT = { outcome: 'failed', error: { description: expect.stringMatching(/application context/i) } }

it('a workflow is answered by whoever has its token, a webhook too; once; a forged token makes a dead letter', async () => {
  const { sandbox, store, register, call, ask, address } = await openDesk()
  const RETURN_PROPERTIES = { price: { NAME: 'Price' } }
  const robot = { CODE: 'price', NAME: 'Price', USE_SUBSCRIPTION: 'Y', RETURN_PROPERTIES }
  await register('bizproc.robot.add', { ...robot, HANDLER: address() })
  const event = await call({ do: 'robot', clientId: CLIENT_ID, code: 'price' }, 'price')
  const answer = (price: number, token: string = event.data.event_token) => ({
    method: 'bizproc.event.send',
    params: { EVENT_TOKEN: token, RETURN_VALUES: { price } },
  })
  expect(await ask({ ...answer(1, `${event.data.event_token}0`), ...back(event) })).toMatchObject({
    outcome: 'failed',
    error: { code: 'ACCESS_DENIED' },
  })
  // Nobody need look at replies to see that a workflow did not get its answer; and it is offered once only.
  await eventually(async () => {
    const letters = await store.db.selectFrom('dead_letters').selectAll().execute()
    expect(letters).toMatchObject([{ reason: 'ACCESS_DENIED', method: 'bizproc.event.send', unsure: 0 }])
  }, 10_000)
  // Without a portal: by the webhook of the settings.
  expect(await ask(answer(270), event.key)).toMatchObject({ outcome: 'done' })
  expect(await ask(answer(270), event.key)).toMatchObject({ outcome: 'done' })
  expect(sandbox.work().workflows).toMatchObject([{ state: 'answered', returnValues: { price: 270 } }])
  // One was forged, one was carried out, one was answered from memory.
  expect(sandbox.stats().commands['bizproc.event.send']).toBe(2)
}, 60_000)

it('a message is reported by the application in the name of an administrator, whoever wrote it, and by no webhook', async () => {
  const { sandbox, register, call, ask, address } = await openDesk()
  await register('messageservice.sender.add', { CODE: 'pigeon', TYPE: 'SMS', NAME: 'P', HANDLER: address() })
  const sms = { do: 'sms', clientId: CLIENT_ID, code: 'pigeon', to: '+49', text: 'Coo', authorId: 2 } as const
  const event = await call(sms, 'pigeon')
  const params = { CODE: 'pigeon', MESSAGE_ID: event.data.message_id, STATUS: 'delivered' }
  const report = { method: 'messageservice.message.status.update', params }
  expect(await ask(report)).toMatchObject(CONTEXT)
  expect(await ask({ ...report, ...back(event) })).toMatchObject({ outcome: 'done' })
  expect(sandbox.work().textMessages).toMatchObject([{ authorId: 2, status: 'delivered' }])
}, 60_000)

it('a bot speaks by its application, and by no webhook', async () => {
  const { sandbox, register, call, ask, address } = await openDesk()
  const bot = { CODE: 'helper', EVENT_HANDLER: address(), PROPERTIES: { NAME: 'Helper' } }
  await register('imbot.register', bot)
  const botId = sandbox.work().bots[0]?.id ?? 0
  const event = await call({ do: 'say', botId, userId: 2, text: 'Hello' }, 'ONIMBOTMESSAGEADD')
  const params = { BOT_ID: botId, DIALOG_ID: event.data.PARAMS.DIALOG_ID, MESSAGE: 'Hello to you' }
  const reply = { method: 'imbot.message.add', params }
  expect(await ask(reply)).toMatchObject({ outcome: 'failed', error: { code: 'ACCESS_DENIED' } })
  expect(await ask({ ...reply, ...back(event) })).toMatchObject({ outcome: 'done' })
  const texts = sandbox.work().chats[0]?.messages.map(({ text }) => text)
  expect(texts).toEqual(['Hello', 'Hello to you'])
}, 60_000)

it('what an operator wrote is confirmed by the application with the ids of its message', async () => {
  const { sandbox, register, call, ask, address } = await openDesk()
  await register('imconnector.register', { ID: 'pigeons', NAME: 'P', PLACEMENT_HANDLER: address() })
  await register('imconnector.activate', { CONNECTOR: 'pigeons', LINE: 3, ACTIVE: 1 })
  await register('event.bind', { event: 'ONIMCONNECTORMESSAGEADD', handler: address() })
  const operator = { do: 'operator', connector: 'pigeons', line: 3, chat: 'roof', text: 'Coo' } as const
  const event = await call(operator, 'ONIMCONNECTORMESSAGEADD')
  const MESSAGES = event.data.MESSAGES.map((one: { im: object }) => ({
    im: one.im,
    message: { id: ['p-1'] },
    chat: { id: 'roof' },
  }))
  const params = { CONNECTOR: 'pigeons', LINE: 3, MESSAGES }
  const confirm = { method: 'imconnector.send.status.delivery', params }
  expect(await ask(confirm)).toMatchObject({ outcome: 'failed', error: { code: 'WRONG_AUTH_TYPE' } })
  expect(await ask({ ...confirm, ...back(event) })).toMatchObject({ outcome: 'done' })
  expect(sandbox.work().lineMessages).toMatchObject([{ from: 'operator', state: 'delivered' }])
}, 60_000)
