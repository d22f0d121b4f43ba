import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import { setLine } from '../apps/line-triggers.ts'
import type { Connector } from '../apps/registrations.ts'
import { installationOf, text } from '../caller.ts'
import { argumentFault, RestFault } from '../errors.ts'
import { checkHandlerUrl } from '../handler-url.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'

const SCOPES = ['imopenlines', 'imconnector']

/**
 * Channels of open lines to other systems.
 *
 * https://apidocs.bitrix24.com/api-reference/imopenlines/imconnector/index.html
 */
export const CONNECTOR_METHODS: MethodTable = {
  'imconnector.register': { scopes: SCOPES, application: true, run: register },
  'imconnector.unregister': { scopes: SCOPES, application: true, run: unregister },
  'imconnector.activate': { scopes: SCOPES, application: true, run: activate },
  'imconnector.status': { scopes: SCOPES, application: true, run: status },
  'imconnector.send.messages': { scopes: SCOPES, application: true, run: send },
  'imconnector.send.status.delivery': { scopes: SCOPES, application: true, run: deliver },
}

/** A second time gives the connector its new name and page. */
function register(call: Call): Answer {
  const { registered } = installationOf(call)
  const id = needed(call, 'ID')
  if (!/^[a-z0-9_]+$/.test(id)) throw argumentFault('ID', "Argument 'ID' must be of small letters and digits")
  const name = needed(call, 'NAME')
  const placementHandler = needed(call, 'PLACEMENT_HANDLER')
  checkHandlerUrl(placementHandler)
  const known = registered.connectors.find((each) => each.id === id)
  const connector = { id, name, placementHandler, lines: known?.lines ?? [] }
  registered.connectors = [...registered.connectors.filter((each) => each !== known), connector]
  return { result: { result: true } }
}

function unregister(call: Call): Answer {
  const { registered } = installationOf(call)
  const connector = find(call, 'ID')
  registered.connectors = registered.connectors.filter((each) => each !== connector)
  return { result: { result: true } }
}

function activate(call: Call): Answer {
  const active = ['1', 'true', 'Y'].includes(text(call, 'ACTIVE'))
  setLine(installationOf(call), find(call, 'CONNECTOR'), lineOf(call), active)
  return { result: true }
}

function status(call: Call): Answer {
  const line = lineOf(call)
  const { id, lines } = find(call, 'CONNECTOR')
  const active = lines.includes(line)
  const result = { LINE: String(line), CONNECTOR: id, ERROR: false, CONFIGURED: active, STATUS: active }
  return { result }
}

/** What clients wrote; each message opens its chat in the line. */
function send(call: Call): Answer {
  const { connector, line } = activeLine(call)
  const results = messagesOf(call).map((given) => {
    const externalChatId = textAt(given, 'chat', 'id')
    const body = textAt(given, 'message', 'text')
    if (textAt(given, 'user', 'id') === '' || externalChatId === '' || body === '')
      throw new RestFault('IMCONNECTOR_NOT_ALL_THE_REQUIRED_DATA', 'Not all required data was provided')
    const said = { connector: connector.id, line, externalChatId, from: 'client', text: body } as const
    const chatId = String(call.portal.openLines.add(said).chatId)
    return { ...given, SUCCESS: true, session: { ID: chatId, CHAT_ID: chatId } }
  })
  return { result: { SUCCESS: true, DATA: { RESULT: results } } }
}

/** The same `im` as in the event comes back for each message that reached the client. */
function deliver(call: Call): Answer {
  const { connector, line } = activeLine(call)
  const results = messagesOf(call).map((given) => {
    const id = Number(textAt(given, 'im', 'message_id'))
    return { ...given, SUCCESS: call.portal.openLines.deliver(connector.id, line, id) }
  })
  const SUCCESS = results.every((each) => each.SUCCESS)
  return { result: { SUCCESS, DATA: { RESULT: results } } }
}

function activeLine(call: Call): { readonly connector: Connector; readonly line: number } {
  const [connector, line] = [find(call, 'CONNECTOR'), lineOf(call)]
  if (!connector.lines.includes(line))
    throw new RestFault('NOT_ACTIVE_LINE', 'Line with this ID is inactive or does not exist')
  return { connector, line }
}

function find(call: Call, name: string): Connector {
  const id = needed(call, name)
  const connector = installationOf(call).registered.connectors.find((each) => each.id === id)
  if (connector === undefined)
    throw new RestFault('IMCONNECTOR_NOT_SPECIFIED_CORRECT_CONNECTOR', 'Connector not specified')
  return connector
}

function lineOf(call: Call): number {
  return Number(needed(call, 'LINE'))
}

function messagesOf(call: Call): readonly JsonObject[] {
  const messages = param(call.params, 'MESSAGES')
  if (!Array.isArray(messages) || messages.length === 0)
    throw argumentFault('MESSAGES', "Argument 'MESSAGES' is null or empty")
  return messages.map((message: Json) => {
    if (isJsonObject(message)) return message
    throw new RestFault('100', 'The MESSAGES parameter must be an array of messages (arrays)')
  })
}

function textAt(message: JsonObject, group: string, name: string): string {
  const inner = message[group]
  return isJsonObject(inner) ? String(inner[name] ?? '') : ''
}

function needed(call: Call, name: string): string {
  const value = text(call, name)
  if (value === '') throw argumentFault(name, `Argument '${name}' is null or empty`)
  return value
}
