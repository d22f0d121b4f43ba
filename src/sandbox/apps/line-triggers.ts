import type { Portal } from '../portal.ts'
import type { Installation } from './installations.ts'
import type { Connector } from './registrations.ts'
import type { Delivery } from './sender.ts'

/** An operator of an open line writes to a client, or somebody takes a connector off a line. */
export type LineTrigger = {
  readonly connector: string
  /** 1 unless given. */
  readonly line?: number
  readonly userId?: number
} & (
  | {
      readonly do: 'operator'
      /** The chat in the other system. */
      readonly chat: string
      readonly text: string
    }
  | { readonly do: 'disconnect' }
)

/**
 * Tells the application that the connector belongs to.
 *
 * https://apidocs.bitrix24.com/api-reference/imopenlines/imconnector/events/index.html
 */
export async function actOnLine(
  portal: Portal,
  trigger: LineTrigger,
): Promise<{ readonly deliveries: Delivery[]; readonly lineMessageId?: number }> {
  const { connector: id, line = 1, userId = 1 } = trigger
  const { installation, connector } = ownerOf(portal, id)
  if (!connector.lines.includes(line)) throw new Error(`${id} is not active on line ${line}`)
  const hit = portal.events.hit({ userId })
  if (trigger.do === 'disconnect') {
    setLine(installation, connector, line, false)
    hit.note('ONIMCONNECTORSTATUSDELETE', { connector: id, line }, { only: installation })
    return { deliveries: await hit.end() }
  }
  const { chat, text } = trigger
  const said = portal.openLines.add({ connector: id, line, externalChatId: chat, from: 'operator', text })
  const message = {
    im: { chat_id: said.chatId, message_id: said.id },
    message: { user_id: userId, text },
    chat: { id: chat },
  }
  const data = { CONNECTOR: id, LINE: line, MESSAGES: [message] }
  hit.note('ONIMCONNECTORMESSAGEADD', data, { only: installation })
  return { deliveries: await hit.end(), lineMessageId: said.id }
}

/** Switches a connector on or off for a line. */
export function setLine(
  { registered }: Installation,
  connector: Connector,
  line: number,
  active: boolean,
): void {
  const others = connector.lines.filter((each) => each !== line)
  const changed = { ...connector, lines: active ? [...others, line] : others }
  registered.connectors = registered.connectors.map((each) => (each === connector ? changed : each))
}

function ownerOf(portal: Portal, id: string): { installation: Installation; connector: Connector } {
  for (const installation of portal.installations.all()) {
    const connector = installation.registered.connectors.find((each) => each.id === id)
    if (connector !== undefined) return { installation, connector }
  }
  throw new Error(`the portal has no connector ${id}`)
}
