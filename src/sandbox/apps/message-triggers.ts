import type { FormValue } from '../form.ts'
import { documentOf, type WorkDocument } from './documents.ts'
import { authOf, type EventParts } from './events.ts'
import type { Installation } from './installations.ts'
import { isReady, post } from './posts.ts'
import type { Delivery } from './sender.ts'
import { newWorkflowId } from './workflows.ts'

/** Somebody, or a workflow, sends a text message through a provider of an application. */
export interface MessageTrigger {
  readonly do: 'sms'
  readonly clientId: string
  /** The provider. */
  readonly code: string
  readonly to: string
  readonly text: string
  /** 1 unless given; 0 for nobody, as messages of some workflows have it. */
  readonly authorId?: number
  /** `DEAL_7`: what the message belongs to. */
  readonly document?: string
  /** A workflow sends it; then the document is `DEAL_7` unless given. */
  readonly byWorkflow?: boolean
}

/**
 * Hands a message to its provider. For the portal it is sent before the provider has answered.
 *
 * https://apidocs.bitrix24.com/api-reference/messageservice/messageservice-sender-add.html
 */
export async function sendMessage(
  parts: EventParts,
  installation: Installation,
  trigger: MessageTrigger,
): Promise<{ readonly messageId: string; readonly deliveries: Delivery[] }> {
  const { portal, application, registered } = installation
  const { clientId } = application
  const { code, to, text, authorId = 1 } = trigger
  const sender = registered.senders.find((known) => known.code === code)
  if (sender === undefined) throw new Error(`${clientId} has no message sender ${code}`)
  const origin = originOf(installation, trigger)
  const status = isReady(installation) ? 'sent' : 'error'
  const { messageId } = portal.textMessages.add({ clientId, code, to, body: text, authorId, status })
  if (status === 'error') return { messageId, deliveries: [] }
  const form = {
    ...origin,
    properties: { phone_number: to, message_text: text },
    type: 'SMS',
    code,
    message_id: messageId,
    message_to: to,
    message_body: text,
    ts: Math.floor(portal.now() / 1000),
    auth: authFor(parts, installation, authorId),
  }
  return {
    messageId,
    deliveries: await post(parts, installation, { kind: 'sms', url: sender.handler, form }),
  }
}

function originOf(
  { portal }: Installation,
  { document, byWorkflow = false }: MessageTrigger,
): { readonly [name: string]: FormValue } {
  if (byWorkflow) {
    const { id, type } = documentOf(portal, document ?? 'DEAL_7')
    return { module_id: 'bizproc', workflow_id: newWorkflowId(), document_id: id, document_type: type }
  }
  const bindings = document === undefined ? [] : [bindingOf(documentOf(portal, document))]
  return { module_id: 'crm', bindings }
}

function bindingOf({ ownerTypeId, ownerId }: WorkDocument): FormValue {
  return { OWNER_TYPE_ID: ownerTypeId, OWNER_ID: ownerId }
}

/** Tokens of the author, which cannot be renewed. */
function authFor(
  { authority }: EventParts,
  installation: Installation,
  authorId: number,
): { readonly [name: string]: FormValue } {
  if (authorId !== 0) return authOf(authority, installation, { userId: authorId })
  return authority.settings.switches.messagesWithoutAuthor === 'empty'
    ? {}
    : authOf(authority, installation, {})
}
