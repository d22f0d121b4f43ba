import { checkHandlerUrl } from '../handler-url.ts'
import { newApplicationToken } from './installations.ts'

/** What a person fills in under "Developer resources". */
export interface OutgoingWebhookOptions {
  readonly url: string
  /** Names of events, in any case. */
  readonly events: readonly string[]
  /** Made up unless given. */
  readonly applicationToken?: string
}

/** An outgoing webhook: a handler that belongs to no application and gets no tokens of a user. */
export interface OutgoingWebhook {
  readonly id: number
  readonly url: string
  /** In upper case. */
  readonly events: ReadonlySet<string>
  /** Its own; no application has it. */
  readonly applicationToken: string
}

/** Events that only applications are told of. */
const FOR_APPLICATIONS = /^ON(?:APP|SUBSCRIPTION|OFFLINEEVENT|EXTERNALCALLSTART)/

/**
 * Throws for an address that no handler may have, without events, and for events that only applications are told of.
 *
 * https://apidocs.bitrix24.com/local-integrations/local-webhooks.html
 */
export function outgoingWebhook(id: number, options: OutgoingWebhookOptions): OutgoingWebhook {
  checkHandlerUrl(String(options.url))
  const events = new Set(Array.from(options.events, (event) => event.toUpperCase()))
  if (events.size === 0) throw new Error('an outgoing webhook needs events')
  for (const event of events) {
    if (FOR_APPLICATIONS.test(event)) throw new Error(`${event} is for applications only`)
  }
  return { id, url: options.url, events, applicationToken: options.applicationToken ?? newApplicationToken() }
}
