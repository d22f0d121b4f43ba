import { isJsonObject } from '../../model/json.ts'
import type { MessageSender } from '../apps/registrations.ts'
import { isSettable, wordOf } from '../apps/text-messages.ts'
import { ownApplication, requireAdmin, text } from '../caller.ts'
import { RestFault } from '../errors.ts'
import { checkHandlerUrl } from '../handler-url.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'

const SCOPES = ['messageservice']

/**
 * Providers of text messages, and what becomes of the messages.
 *
 * https://apidocs.bitrix24.com/api-reference/messageservice/index.html
 */
export const MESSAGE_METHODS: MethodTable = {
  'messageservice.sender.add': { scopes: SCOPES, run: add },
  'messageservice.sender.update': { scopes: SCOPES, run: update },
  'messageservice.sender.delete': { scopes: SCOPES, run: remove },
  'messageservice.sender.list': { scopes: SCOPES, run: list },
  'messageservice.message.status.update': { scopes: SCOPES, run: updateStatus },
  'messageservice.message.status.get': { scopes: SCOPES, run: getStatus },
}

function add(call: Call): Answer {
  const { registered } = ownApplication(call)
  requireAdmin(call)
  if (Object.keys(call.params).length === 0) throw invalid('Empty data!')
  const code = codeOf(call)
  const handler = text(call, 'HANDLER')
  checkHandlerUrl(handler)
  if (!hasText(call, 'NAME')) throw invalid('Empty sender NAME!')
  const type = text(call, 'TYPE')
  if (type === '') throw invalid('Empty sender message TYPE!')
  if (type !== 'SMS') throw invalid('Unknown sender message TYPE!')
  if (registered.senders.some((known) => known.code === code))
    throw new RestFault('ERROR_SENDER_ALREADY_INSTALLED', 'Sender already installed!')
  const sender = { code, handler, name: '', description: '', ...wordsOf(call) }
  registered.senders = [...registered.senders, sender]
  return { result: true }
}

function update(call: Call): Answer {
  const { registered } = ownApplication(call)
  requireAdmin(call)
  if (text(call, 'CODE') === '') throw new RestFault('ERROR_SENDER_CODE_REQUIRED', 'Sender code is required')
  const known = find(call)
  const handler = text(call, 'HANDLER')
  const changes = { ...wordsOf(call), ...(handler === '' ? {} : { handler }) }
  if (Object.keys(changes).length === 0)
    throw new RestFault('ERROR_SENDER_OTHER_PARAMS_REQUIRED', 'At least one of HANDLER, NAME, DESCRIPTION')
  if (handler !== '') checkHandlerUrl(handler)
  registered.senders = registered.senders.map((each) => (each === known ? { ...known, ...changes } : each))
  return { result: true }
}

function remove(call: Call): Answer {
  const { registered } = ownApplication(call)
  requireAdmin(call)
  const known = find(call)
  registered.senders = registered.senders.filter((each) => each !== known)
  return { result: true }
}

function list(call: Call): Answer {
  const { registered } = ownApplication(call)
  requireAdmin(call)
  return { result: registered.senders.map(({ code }) => code) }
}

/** Only whoever wrote the message, or the administrator, may report what became of it. */
function updateStatus(call: Call): Answer {
  const { application } = ownApplication(call)
  const code = codeOf(call)
  const messageId = text(call, 'MESSAGE_ID')
  if (messageId === '') throw noMessage()
  const status = text(call, 'STATUS')
  if (!isSettable(status)) throw new RestFault('ERROR_MESSAGE_STATUS_INCORRECT', 'Message status incorrect!')
  const { textMessages } = call.portal
  const message = textMessages.findSent(application.clientId, code, messageId)
  if (message === undefined) throw noMessage()
  if (message.authorId !== call.credential.userId) requireAdmin(call)
  textMessages.setStatus(message.id, status)
  return { result: true }
}

/** Takes the portal's own number of the message, not the provider's id. */
function getStatus(call: Call): Answer {
  const message = call.portal.textMessages.find(Number(text(call, 'MESSAGE_ID')))
  if (message === undefined) throw noMessage()
  return { result: wordOf(message) }
}

function find(call: Call): MessageSender {
  const code = codeOf(call)
  const sender = ownApplication(call).registered.senders.find((known) => known.code === code)
  if (sender === undefined) throw new RestFault('ERROR_SENDER_NOT_FOUND', 'Sender not found!')
  return sender
}

function codeOf(call: Call): string {
  const code = text(call, 'CODE')
  if (code === '') throw invalid('Empty sender code!')
  if (!/^[a-z0-9.\-_]+$/i.test(code)) throw invalid('Wrong sender code!')
  return code
}

/** Name and description where given: a text, or texts by language. */
function wordsOf(call: Call): Partial<Pick<MessageSender, 'name' | 'description'>> {
  return {
    ...(hasText(call, 'NAME') ? { name: param(call.params, 'NAME') ?? '' } : {}),
    ...(hasText(call, 'DESCRIPTION') ? { description: param(call.params, 'DESCRIPTION') ?? '' } : {}),
  }
}

function hasText({ params }: Call, name: string): boolean {
  const value = param(params, name)
  return isJsonObject(value) ? Object.keys(value).length > 0 : typeof value === 'string' && value !== ''
}

function noMessage(): RestFault {
  return new RestFault('ERROR_MESSAGE_NOT_FOUND', 'Message not found!')
}

function invalid(description: string): RestFault {
  return new RestFault('ERROR_SENDER_VALIDATION_FAILURE', description)
}
