import { describe, expect, it } from 'vitest'
import { type Bench, openApplication } from './application.ts'
import { ask } from './ask.ts'
import { CLIENT_ID, callWith, refresh } from './oauth-client.ts'

const FIELDS = { code: 'helper', properties: { name: 'Helper', workPosition: 'Assistant' } }

async function openWithBot(more: object = {}): Promise<Bench & { readonly botId: number }> {
  const bench = await openApplication()
  const { body } = await bench.call('imbot.v2.Bot.register', { fields: { ...FIELDS, ...more } })
  return { ...bench, botId: body.result.bot.id }
}

const openWithWebhook = async () => {
  const bench = await openApplication()
  const fields = { ...FIELDS, eventMode: 'webhook', webhookUrl: `${bench.app.url}bot` }
  const { body } = await bench.call('imbot.v2.Bot.register', { fields })
  return { ...bench, botId: body.result.bot.id as number }
}

// https://apidocs.bitrix24.com/api-reference/chat-bots/chat-bots-v2/imbot.v2/events/event-get.html
describe('a bot that fetches its events', () => {
  it('gets them with their types, until an offset confirms them', async () => {
    const { sandbox, call, botId, app } = await openWithBot()
    for (const text of ['one', 'two', 'three']) await sandbox.trigger({ do: 'say', botId, userId: 2, text })
    const get = async (params: object = {}) =>
      (await call('imbot.v2.Event.get', { botId, ...params })).body.result
    const texts = ({ events }: { events: { data: { message: { text: string } } }[] }) =>
      events.map(({ data }) => data.message.text)
    const first = await get({ limit: 2 })
    expect([texts(first), first.hasMore]).toEqual([['one', 'two'], true])
    const [{ eventId, type, date, data }] = first.events
    expect([type, date]).toEqual(['ONIMBOTV2MESSAGEADD', '2026-06-01T15:00:00+03:00'])
    expect(data).toMatchObject({
      bot: { id: botId, code: 'helper', eventMode: 'fetch', appId: CLIENT_ID },
      message: { id: 1, chatId: 1, authorId: 2, text: 'one', isSystem: false, forward: null },
      chat: { id: 1, dialogId: '2', type: 'private' },
      user: { id: 2, bot: false },
      language: 'en',
    })
    expect(data.bot).not.toHaveProperty('auth')
    expect(first.nextOffset).toBe(eventId + 2)
    // Whoever did not confirm gets the same again.
    expect(texts(await get())).toEqual(['one', 'two', 'three'])
    expect(sandbox.work().bots[0]?.queued).toBe(3)
    const rest = await get({ offset: first.nextOffset })
    expect([texts(rest), rest.hasMore]).toEqual([['three'], false])
    const none = await get({ offset: rest.nextOffset })
    expect(none).toEqual({ events: [], nextOffset: rest.nextOffset, hasMore: false })
    expect(sandbox.work().bots[0]?.queued).toBe(0)
    expect(app.received).toHaveLength(0)
  })

  it('is told of chats, commands, changed and deleted messages', async () => {
    const { sandbox, call, botId } = await openWithBot({ type: 'supervisor' })
    const command = { botId, fields: { command: '/help' } }
    const { id } = (await call('imbot.v2.Command.register', command)).body.result.command
    await sandbox.trigger({ do: 'open-chat', botId })
    await sandbox.trigger({ do: 'say', botId, text: '/help topic' })
    const { chatMessageId } = await sandbox.trigger({ do: 'say', botId, text: 'x' })
    await sandbox.trigger({ do: 'edit', messageId: chatMessageId!, text: 'y' })
    await sandbox.trigger({ do: 'erase', messageId: chatMessageId! })
    const { events } = (await call('imbot.v2.Event.get', { botId })).body.result
    expect(events.map(({ type, data }: { type: string; data: object }) => ({ type, ...data }))).toMatchObject(
      [
        { type: 'ONIMBOTV2JOINCHAT', dialogId: '1' },
        {
          type: 'ONIMBOTV2COMMANDADD',
          command: { id, command: '/help', params: 'topic', context: 'textarea' },
        },
        { type: 'ONIMBOTV2MESSAGEADD', message: { text: 'x' } },
        { type: 'ONIMBOTV2MESSAGEUPDATE', message: { text: 'y' } },
        { type: 'ONIMBOTV2MESSAGEDELETE', messageId: chatMessageId },
      ],
    )
  })

  it('may belong to a webhook that knows its token', async () => {
    const { sandbox } = await openApplication()
    const register = (fields: object) => ask(sandbox, 'imbot.v2.Bot.register', { fields })
    expect((await register(FIELDS)).body.error).toBe('BOT_TOKEN_NOT_SPECIFIED')
    const { body } = await register({ ...FIELDS, botToken: 'the-key-of-the-bot' })
    expect(body.result.bot.appId).toMatch(/^custom[0-9a-f]{32}$/)
    expect(JSON.stringify(sandbox.work())).not.toContain('the-key-of-the-bot')
    const botId = body.result.bot.id
    await sandbox.trigger({ do: 'say', botId, text: 'x' })
    const get = (more: object) => ask(sandbox, 'imbot.v2.Event.get', { botId, ...more })
    expect((await get({})).body.error).toBe('BOT_TOKEN_NOT_SPECIFIED')
    const foreign = await get({ botToken: 'other' })
    expect([foreign.status, foreign.body.error]).toEqual([403, 'BOT_OWNERSHIP_ERROR'])
    expect((await get({ botToken: 'the-key-of-the-bot' })).body.result.events).toHaveLength(1)
  })
})

// https://apidocs.bitrix24.com/api-reference/chat-bots/chat-bots-v2/imbot.v2/events/events.html
describe('a bot whose events are posted', () => {
  it('gets texts only, and two blocks of tokens', async () => {
    const { sandbox, app, botId } = await openWithWebhook()
    await sandbox.trigger({ do: 'say', botId, userId: 2, text: 'Hello' })
    const { form, text } = app.received[0]!
    const { bot, message, user } = form.data
    expect(form.event).toBe('ONIMBOTV2MESSAGEADD')
    expect(Object.keys(bot)).toEqual(['id', 'code', 'auth'])
    expect(message).toMatchObject({ id: '1', isSystem: '0', text: 'Hello', forward: '' })
    expect(user).toMatchObject({ active: '1', bot: '0', phones: '0' })
    expect(text).toContain('data%5Bmessage%5D%5Bforward%5D=&')
    expect([form.auth.user_id, bot.auth.user_id]).toEqual(['2', String(botId)])
    expect(form.auth.application_token).toBe(bot.auth.application_token)
    for (const auth of [form.auth, bot.auth])
      expect((await refresh(sandbox, auth.refresh_token)).status).toBe(200)
    expect(form.auth.access_token).not.toBe(bot.auth.access_token)
  })

  it('is one of several that are told one by one, and is told last that it is deleted', async () => {
    const { sandbox, app, call, botId } = await openWithWebhook()
    const fields = { ...FIELDS, code: 'second', eventMode: 'webhook', webhookUrl: `${app.url}second` }
    const second = (await call('imbot.v2.Bot.register', { fields })).body.result.bot.id
    const { chatId } = await sandbox.trigger({ do: 'invite', botId })
    await sandbox.trigger({ do: 'invite', botId: second, chatId: chatId! })
    const text = `[USER=${botId}]a[/USER] [USER=${second}]b[/USER]`
    await sandbox.trigger({ do: 'say', chatId: chatId!, text })
    const told = app.received.slice(2).map(({ url, form }) => [url.pathname, form.data.bot.id])
    expect(told.sort()).toEqual([
      ['/bot', String(botId)],
      ['/second', String(second)],
    ])
    expect((await call('imbot.v2.Bot.unregister', { botId: second })).body.result).toBe(true)
    await expect.poll(() => app.received.at(-1)?.form.event).toBe('ONIMBOTV2DELETE')
  })

  it('of a webhook gets no tokens, only an application token of its own', async () => {
    const { sandbox, app } = await openApplication()
    const fields = { ...FIELDS, botToken: 'key', eventMode: 'webhook', webhookUrl: `${app.url}bot` }
    const { body } = await ask(sandbox, 'imbot.v2.Bot.register', { fields })
    const botId = body.result.bot.id
    await sandbox.trigger({ do: 'say', botId, text: 'x' })
    const { data, auth } = app.received[0]!.form
    expect(data.bot).toEqual({ id: String(botId), code: 'helper' })
    expect(Object.keys(auth).sort()).toEqual([
      'application_token',
      'client_endpoint',
      'domain',
      'member_id',
      'server_endpoint',
    ])
    expect(sandbox.work().bots).toMatchObject([{ id: botId, owner: 'webhook' }])
  })

  it('may be told to fetch from now on, and back', async () => {
    const { sandbox, app, call, botId } = await openWithWebhook()
    const update = (fields: object) => call('imbot.v2.Bot.update', { botId, fields })
    expect((await update({ eventMode: 'fetch' })).body.result.bot.eventMode).toBe('fetch')
    await sandbox.trigger({ do: 'say', botId, text: 'kept' })
    expect([app.received.length, sandbox.work().bots[0]?.queued]).toEqual([0, 1])
    const none = await update({ eventMode: 'webhook' })
    expect(none.body.error).toBe('BOT_WEBHOOK_URL_REQUIRED')
    await update({ eventMode: 'webhook', webhookUrl: `${app.url}again` })
    await sandbox.trigger({ do: 'say', botId, text: 'posted' })
    expect(app.received.map(({ url }) => url.pathname)).toEqual(['/again'])
    expect(sandbox.work().bots[0]?.queued).toBe(0)
  })
})

describe('a bot of version 2', () => {
  it('is registered once; a second time answers with the bot there is', async () => {
    const { call, botId } = await openWithBot()
    const fields = { code: 'helper', properties: { name: 'Another' } }
    const { bot, users } = (await call('imbot.v2.Bot.register', { fields })).body.result
    expect([bot.id, users[0].name]).toEqual([botId, 'Helper'])
    expect((await call('imbot.v2.Bot.list')).body.result.bots).toHaveLength(1)
    expect((await call('imbot.v2.Bot.get', { botId })).body.result.bot).toEqual(bot)
  })

  it('writes into chats it is in', async () => {
    const { sandbox, call, botId } = await openWithBot()
    const send = (dialogId: string, message: string) =>
      call('imbot.v2.Chat.Message.send', { botId, dialogId, fields: { message } })
    expect((await send('2', 'Hi')).body.result).toEqual({ id: 1, uuidMap: {} })
    expect((await call('imbot.v2.Chat.InputAction.notify', { botId, dialogId: '2' })).body.result).toBe(true)
    expect((await send('2', 'x'.repeat(20_001))).body.result.id).toBe(2)
    const [chat] = sandbox.work().chats
    expect(chat).toMatchObject({ members: [2, botId], typing: [botId] })
    expect(chat?.messages[1]?.text).toHaveLength(20_006)
    const strange = await send('chat9', 'x')
    expect([strange.status, strange.body.error]).toEqual([403, 'ACCESS_DENIED'])
    expect((await send('2', '')).body.error).toBe('EMPTY_MESSAGE')
  })

  it.each([
    [{ code: '' }, 'BOT_CODE_REQUIRED'],
    [{ properties: {} }, 'BOT_PROPERTIES_REQUIRED'],
    [{ type: 'robot' }, 'BOT_INVALID_TYPE'],
    [{ eventMode: 'push' }, 'BOT_INVALID_EVENT_MODE'],
    [{ eventMode: 'webhook' }, 'BOT_WEBHOOK_URL_REQUIRED'],
    [{ eventMode: 'webhook', webhookUrl: 'http://localhost/' }, 'BOT_INVALID_CALLBACK'],
  ])('cannot be registered with %j', async (wrong, error) => {
    const { call } = await openApplication()
    const { status, body } = await call('imbot.v2.Bot.register', { fields: { ...FIELDS, ...wrong } })
    expect([status, body.error]).toEqual([400, error])
  })

  it('belongs to one application', async () => {
    const { sandbox, call, botId } = await openWithBot()
    expect((await call('imbot.v2.Event.get')).body.error).toBe('BOT_ID_REQUIRED')
    expect((await call('imbot.v2.Event.get', { botId: 7 })).body.error).toBe('BOT_NOT_FOUND')
    const foreign = await callWith(sandbox, sandbox.accessToken, 'imbot.v2.Event.get', { botId })
    expect([foreign.status, foreign.body.error]).toEqual([403, 'BOT_OWNERSHIP_ERROR'])
  })
})
