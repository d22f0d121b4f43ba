import { describe, expect, it } from 'vitest'
import type { SandboxOptions } from '../../src/sandbox/index.ts'
import { type Bench, openApplication } from './application.ts'
import { ask } from './ask.ts'
import { CLIENT_ID, callWith, refresh } from './oauth-client.ts'

interface BotBench extends Bench {
  readonly botId: number
}

async function openWithBot(more: object = {}, options: SandboxOptions = {}): Promise<BotBench> {
  const bench = await openApplication(options)
  return { ...bench, botId: await register(bench, { CODE: 'helper', ...more }) }
}

async function register({ call, app }: Bench, more: object): Promise<number> {
  const bot = { EVENT_HANDLER: `${app.url}bot`, PROPERTIES: { NAME: 'Helper', LAST_NAME: 'Bot' } }
  return (await call('imbot.register', { ...bot, ...more })).body.result
}

const events = ({ app }: Bench) => app.received.map(({ form }) => form.event)
const textsOf = ({ sandbox }: Bench) =>
  sandbox.work().chats.map(({ messages }) => messages.map(({ authorId, text }) => [authorId, text]))

// https://apidocs.bitrix24.com/api-reference/chat-bots/outdated/messages/events/on-imbot-message-add.html
describe('a message to a bot', () => {
  it('tells it with tokens of its own beside those of the author', async () => {
    const bench = await openWithBot()
    const { sandbox, app, botId } = bench
    const { chatMessageId, chatId } = await sandbox.trigger({ do: 'say', botId, userId: 2, text: 'Hello' })
    const { form, text } = app.received[0]!
    expect(form.event).toBe('ONIMBOTMESSAGEADD')
    expect(text).toContain(`data%5BBOT%5D%5B${botId}%5D%5BAUTH%5D%5Baccess_token%5D=`)
    const bot = form.data.BOT[botId]
    expect(bot).toMatchObject({ BOT_ID: String(botId), BOT_CODE: 'helper', client_id: CLIENT_ID })
    expect(bot.AUTH.access_token).toBe(bot.access_token)
    expect(form.data.PARAMS).toMatchObject({
      MESSAGE: 'Hello',
      DIALOG_ID: '2',
      FROM_USER_ID: '2',
      TO_USER_ID: String(botId),
      TO_CHAT_ID: String(chatId),
      MESSAGE_ID: String(chatMessageId),
      MESSAGE_TYPE: 'P',
      CHAT_TYPE: 'P',
    })
    expect(form.data.USER).toMatchObject({ ID: '2', IS_BOT: 'N' })
    expect(form.auth.user_id).toBe('2')
    expect(form.auth.access_token).not.toBe(bot.access_token)
    expect((await callWith(sandbox, form.auth.access_token)).body.result.ID).toBe('2')
    expect((await callWith(sandbox, bot.access_token)).body.result.ID).toBe(String(botId))
    for (const { refresh_token } of [form.auth, bot])
      expect((await refresh(sandbox, refresh_token)).status).toBe(200)
  })

  it('is answered in the same chat, after the bot has shown that it is writing', async () => {
    const bench = await openWithBot()
    const { sandbox, call, botId, app } = bench
    await sandbox.trigger({ do: 'say', botId, userId: 2, text: 'Hello' })
    const { DIALOG_ID } = app.received[0]!.form.data.PARAMS
    const where = { BOT_ID: botId, DIALOG_ID }
    expect((await call('imbot.chat.sendTyping', where)).body.result).toBe(true)
    const { body } = await call('imbot.message.add', { ...where, MESSAGE: ' Hi there \n' })
    expect(body.result).toBe(2)
    expect(textsOf(bench)).toEqual([
      [
        [2, 'Hello'],
        [botId, 'Hi there'],
      ],
    ])
    expect(sandbox.work().chats[0]?.typing).toEqual([botId])
    expect(events(bench)).toEqual(['ONIMBOTMESSAGEADD'])
  })

  it('in a group is heard by those that are mentioned, and by supervisors', async () => {
    const bench = await openWithBot()
    const { sandbox, app, botId } = bench
    const watcher = await register(bench, { CODE: 'watcher', TYPE: 'S' })
    const { chatId } = await sandbox.trigger({ do: 'invite', botId, title: 'Sales' })
    await sandbox.trigger({ do: 'say', chatId: chatId!, text: 'nobody in particular' })
    expect(events(bench)).toEqual(['ONIMBOTJOINCHAT'])
    await sandbox.trigger({ do: 'invite', botId: watcher, chatId: chatId! })
    await sandbox.trigger({ do: 'say', chatId: chatId!, text: 'all alone' })
    expect(Object.keys(app.received.at(-1)?.form.data.BOT)).toEqual([String(watcher)])
    await sandbox.trigger({ do: 'say', chatId: chatId!, text: `[USER=${botId}]Helper[/USER] are you there?` })
    const { BOT, PARAMS } = app.received.at(-1)!.form.data
    expect(Object.keys(BOT)).toEqual([String(botId), String(watcher)])
    expect(PARAMS).toMatchObject({
      MESSAGE: 'are you there?',
      MESSAGE_ORIGINAL: `[USER=${botId}]Helper[/USER] are you there?`,
      DIALOG_ID: `chat${chatId}`,
      CHAT_ID: String(chatId),
      CHAT_TITLE: 'Sales',
      CHAT_TYPE: 'C',
      MENTIONED_LIST: { [botId]: String(botId) },
    })
    expect(app.received).toHaveLength(4)
  })

  it('can be changed and deleted, of which only some kinds of bots are told', async () => {
    const plain = await openWithBot()
    const line = await openWithBot({ TYPE: 'O' })
    for (const { sandbox, botId } of [plain, line]) {
      const { chatMessageId: messageId } = await sandbox.trigger({ do: 'say', botId, text: 'Helo' })
      await sandbox.trigger({ do: 'edit', messageId: messageId!, text: 'Hello' })
      expect(sandbox.work().chats[0]?.messages[0]?.text).toBe('Hello')
      await sandbox.trigger({ do: 'erase', messageId: messageId! })
      expect(sandbox.work().chats[0]?.messages).toEqual([])
    }
    expect(events(plain)).toEqual(['ONIMBOTMESSAGEADD'])
    expect(events(line)).toEqual(['ONIMBOTMESSAGEADD', 'ONIMBOTMESSAGEUPDATE', 'ONIMBOTMESSAGEDELETE'])
    expect(line.app.received[1]?.form.data.PARAMS.MESSAGE).toBe('Hello')
  })
})

describe('a bot', () => {
  it('is told when it gets into a chat, without a token that can be renewed', async () => {
    const { sandbox, app, botId } = await openWithBot()
    await sandbox.trigger({ do: 'open-chat', botId, userId: 3 })
    await sandbox.trigger({ do: 'invite', botId, userId: 4 })
    const [first, second] = app.received.map(({ form }) => form)
    expect(first).toMatchObject({
      event: 'ONIMBOTJOINCHAT',
      data: { PARAMS: { CHAT_TYPE: 'P', DIALOG_ID: '3', USER_ID: '3', FROM_USER_ID: String(botId) } },
    })
    expect(first.auth).not.toHaveProperty('refresh_token')
    expect(first.data.BOT[botId]).toHaveProperty('refresh_token')
    expect(second.data.PARAMS).toMatchObject({ CHAT_TYPE: 'C', DIALOG_ID: 'chat2', CHAT_AUTHOR_ID: '4' })
  })

  it('is told last that it is deleted', async () => {
    const bench = await openWithBot()
    const { sandbox, app, call, botId } = bench
    expect((await call('imbot.unregister', { BOT_ID: botId })).body.result).toBe(true)
    await expect.poll(() => app.received.length).toBe(1)
    expect(app.received[0]?.form).toMatchObject({
      event: 'ONIMBOTDELETE',
      data: { BOT_ID: String(botId), BOT_CODE: 'helper' },
    })
    expect((await call('imbot.bot.list')).body.result).toEqual([])
    expect((await call('imbot.unregister', { BOT_ID: botId })).body.error).toBe('BOT_ID_ERROR')
    await expect(sandbox.trigger({ do: 'say', botId, text: 'x' })).rejects.toThrow('has no bot')
  })

  it('understands commands, and answers where they were called', async () => {
    const bench = await openWithBot()
    const { sandbox, app, call, botId } = bench
    const command = { BOT_ID: botId, COMMAND: 'echo', EVENT_COMMAND_ADD: `${app.url}command` }
    const LANG = [{ LANGUAGE_ID: 'en', TITLE: 'Echo' }]
    const commandId = (await call('imbot.command.register', { ...command, LANG })).body.result
    await sandbox.trigger({ do: 'say', botId, userId: 2, text: '/echo one two', context: 'KEYBOARD' })
    expect(events(bench)).toEqual(['ONIMCOMMANDADD'])
    const { COMMAND, PARAMS } = app.received[0]!.form.data
    expect(app.received[0]?.url.pathname).toBe('/command')
    expect(app.received[0]?.text).toContain(`data%5BCOMMAND%5D%5B${commandId}%5D%5BAUTH%5D`)
    expect(Object.values(COMMAND)[0]).toMatchObject({
      BOT_ID: String(botId),
      COMMAND: 'echo',
      COMMAND_ID: String(commandId),
      COMMAND_PARAMS: 'one two',
      COMMAND_CONTEXT: 'KEYBOARD',
      MESSAGE_ID: PARAMS.MESSAGE_ID,
      access_token: expect.stringMatching(/^[0-9a-f]{70}$/),
    })
    const answer = { COMMAND_ID: commandId, MESSAGE_ID: PARAMS.MESSAGE_ID, MESSAGE: 'one two' }
    expect((await call('imbot.command.answer', answer)).body.result).toBe(2)
    expect(textsOf(bench)).toEqual([
      [
        [2, '/echo one two'],
        [botId, 'one two'],
      ],
    ])
    await sandbox.trigger({ do: 'say', botId, text: '/other' })
    expect(events(bench)).toEqual(['ONIMCOMMANDADD', 'ONIMBOTMESSAGEADD'])
    for (const [wrong, error] of [
      [{ EVENT_COMMAND_ADD: '' }, 'EVENT_COMMAND_ADD_ERROR'],
      [{ COMMAND: '' }, 'COMMAND_ERROR'],
      [{ BOT_ID: 1 }, 'BOT_ID_ERROR'],
      [{ LANG: [] }, 'LANG_ERROR'],
    ] as const) {
      const reply = await call('imbot.command.register', { ...command, LANG, ...wrong })
      expect([reply.status, reply.body.error]).toEqual([400, error])
    }
    const { body } = await call('imbot.command.answer', { ...answer, COMMAND_ID: 99 })
    expect(body.error).toBe('COMMAND_ID_ERROR')
  })

  it.each([
    [{ EVENT_HANDLER: '' }, 'EVENT_MESSAGE_ADD_ERROR', 'Handler for "Message add" event isn\'t specified'],
    [{ EVENT_HANDLER: 'x' }, 'EVENT_MESSAGE_ADD_ERROR', 'Wrong handler URL'],
    [
      { EVENT_HANDLER: '', EVENT_MESSAGE_ADD: 'https://x.example/' },
      'EVENT_WELCOME_MESSAGE_ERROR',
      'Handler for "Welcome message" event isn\'t specified',
    ],
    [{ CODE: '' }, 'CODE_ERROR', "Bot code isn't specified"],
    [{ PROPERTIES: {} }, 'NAME_ERROR', "Bot name isn't specified"],
  ])('cannot be registered with %j', async (wrong, error, error_description) => {
    const { call } = await openApplication()
    const bot = { CODE: 'x', EVENT_HANDLER: 'https://x.example/', PROPERTIES: { NAME: 'X' }, ...wrong }
    const reply = await call('imbot.register', bot)
    expect([reply.status, reply.body]).toEqual([400, { error, error_description }])
  })

  it('is one of five of its application at most; the same code is the same bot', async () => {
    const bench = await openWithBot()
    expect(await register(bench, { CODE: 'helper' })).toBe(bench.botId)
    for (const CODE of ['b', 'c', 'd', 'e']) await register(bench, { CODE })
    const sixth = { CODE: 'f', EVENT_HANDLER: `${bench.app.url}bot`, PROPERTIES: { NAME: 'F' } }
    expect((await bench.call('imbot.register', sixth)).body.error).toBe('MAX_COUNT_ERROR')
    const list = (await bench.call('imbot.bot.list')).body.result
    expect(Object.keys(list)).toHaveLength(5)
    expect(list[bench.botId]).toEqual({ ID: bench.botId, NAME: 'Helper Bot', CODE: 'helper', OPENLINE: 'N' })
  })

  it('can get another name and other handlers', async () => {
    const { sandbox, app, call, botId } = await openWithBot()
    const FIELDS = { EVENT_MESSAGE_ADD: `${app.url}new`, PROPERTIES: { NAME: 'Other' } }
    expect((await call('imbot.update', { BOT_ID: botId, FIELDS })).body.result).toBe(true)
    await sandbox.trigger({ do: 'say', botId, text: 'x' })
    await sandbox.trigger({ do: 'open-chat', botId })
    expect(app.received.map(({ url }) => url.pathname)).toEqual(['/new', '/bot'])
    expect((await call('imbot.bot.list')).body.result[botId].NAME).toBe('Other Bot')
  })

  it('of a webhook belongs to the key that the webhook chose, and gets no tokens', async () => {
    const { sandbox, app } = await openApplication()
    const bot = { CODE: 'x', EVENT_HANDLER: `${app.url}bot`, PROPERTIES: { NAME: 'X' } }
    const denied = await ask(sandbox, 'imbot.register', bot)
    expect([denied.status, denied.body.error]).toEqual([403, 'ACCESS_DENIED'])
    const botId = (await ask(sandbox, 'imbot.register', { ...bot, CLIENT_ID: 'mine' })).body.result
    await sandbox.trigger({ do: 'say', botId, text: 'Hello' })
    const { form } = app.received[0]!
    expect(form.data.BOT[botId]).toEqual({ BOT_ID: String(botId), BOT_CODE: 'x' })
    expect(form.auth).not.toHaveProperty('access_token')
    expect(form.auth.application_token).toMatch(/^[0-9a-f]{32}$/)
    const message = { BOT_ID: botId, DIALOG_ID: 1, MESSAGE: 'Hi' }
    const foreign = await ask(sandbox, 'imbot.message.add', { ...message, CLIENT_ID: 'other' })
    expect(foreign.body.error).toBe('APP_ID_ERROR')
    expect((await ask(sandbox, 'imbot.message.add', { ...message, CLIENT_ID: 'mine' })).body.result).toBe(2)
  })

  it.each([
    [{ BOT_ID: 5 }, 'BOT_ID_ERROR'],
    [{ DIALOG_ID: 'x' }, 'DIALOG_ID_EMPTY'],
    [{ MESSAGE: '  ' }, 'MESSAGE_EMPTY'],
    [{ DIALOG_ID: 'chat9' }, 'WRONG_REQUEST'],
  ])('cannot say %j', async (wrong, error) => {
    const { call } = await openWithBot()
    const { status, body } = await call('imbot.message.add', { DIALOG_ID: 1, MESSAGE: 'x', ...wrong })
    expect([status, body.error]).toEqual([400, error])
  })

  it('ends with its application; its handlers end with each version', async () => {
    const { sandbox, app, call, botId } = await openWithBot()
    await sandbox.app({ do: 'update', clientId: CLIENT_ID })
    await sandbox.trigger({ do: 'say', botId, text: 'x' })
    expect(app.received).toHaveLength(0)
    expect(Object.keys((await call('imbot.bot.list')).body.result)).toEqual([String(botId)])
    await sandbox.app({ do: 'uninstall', clientId: CLIENT_ID })
    expect(sandbox.work().bots).toEqual([])
  })
})
