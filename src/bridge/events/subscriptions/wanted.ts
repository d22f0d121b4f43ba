import type { Call } from '../../../model/call.ts'
import type { JsonObject } from '../../../model/json.ts'
import type { PlacementEntry, RobotEntry, SubscriptionDocument } from './document.ts'
import { type Bound, eventKey, offlineKey, placementKey, type SubscriptionKind } from './kinds.ts'

/** Something that should be bound on a portal. */
export interface Wanted {
  readonly kind: SubscriptionKind
  /** As of what is bound; see `Bound`. */
  readonly key: string
  readonly label: string
  /** Binds it. Its parameters are all that there is to say: other ones are another definition. */
  readonly bind: Call
  /** Gives what is bound already this definition. */
  change(bound: Bound): readonly Call[]
  /** Nothing but the key can differ: what is bound need not be remembered. */
  readonly plain?: boolean
}

/** The addresses that a portal is given. */
export interface Addresses {
  /** For events, robots, messages and bots; with the portal's key. */
  readonly handler: string
  /** For a page: placements, user field types, settings of robots. */
  page(name: string): string
}

/** What a document wants on one portal, in the order of the document. Pure. */
export function wantedOf(document: SubscriptionDocument, addresses: Addresses): Wanted[] {
  return [
    ...document.events.map((entry) => eventWanted(entry, addresses)),
    ...document.offline.map(offlineWanted),
    ...document.senders.map((entry) => senderWanted(entry, addresses)),
    ...document.robots.map((entry) => robotWanted('robot', entry, addresses)),
    ...document.activities.map((entry) => robotWanted('activity', entry, addresses)),
    ...document.placements.map((entry) => placementWanted(entry, addresses)),
    ...document.userFieldTypes.map((entry) => userFieldTypeWanted(entry, addresses)),
    ...document.bots.map((entry) => botWanted(entry, addresses)),
  ]
}

function eventWanted(
  { name, user = 0, minTimeout }: SubscriptionDocument['events'][number],
  { handler }: Addresses,
): Wanted {
  const options = minTimeout === undefined ? {} : { options: { minTimeout } }
  const bind = {
    method: 'event.bind',
    params: { event: name, handler, auth_type: user, event_type: 'online', ...options },
  }
  return {
    kind: 'event',
    key: eventKey(name, user, handler),
    label: user === 0 ? name : `${name} as user ${user}`,
    bind,
    change: anew(bind),
    plain: minTimeout === undefined,
  }
}

function offlineWanted({ name, connector = '' }: SubscriptionDocument['offline'][number]): Wanted {
  const bind = {
    method: 'event.bind',
    params: {
      event: name,
      event_type: 'offline',
      ...(connector === '' ? {} : { auth_connector: connector }),
    },
  }
  return {
    kind: 'offline',
    key: offlineKey(name, connector),
    label: connector === '' ? name : `${name} for ${connector}`,
    bind,
    change: anew(bind),
    plain: true,
  }
}

/** https://apidocs.bitrix24.com/api-reference/messageservice/messageservice-sender-add.html */
function senderWanted(
  { code, name, description }: SubscriptionDocument['senders'][number],
  { handler }: Addresses,
): Wanted {
  const fields = { HANDLER: handler, NAME: name, ...filled({ DESCRIPTION: description }) }
  const call = (act: string, more: JsonObject = {}): Call => {
    return { method: `messageservice.sender.${act}`, params: { CODE: code, ...more, ...fields } }
  }
  return {
    kind: 'sender',
    key: code.toLowerCase(),
    label: code,
    bind: call('add', { TYPE: 'SMS' }),
    change: () => [call('update')],
  }
}

/**
 * Whether the workflow waits is always said: what the portal takes for granted is not documented the same everywhere.
 *
 * https://apidocs.bitrix24.com/api-reference/bizproc/bizproc-robot/bizproc-robot-add.html
 */
function robotWanted(kind: 'robot' | 'activity', entry: RobotEntry, { handler, page }: Addresses): Wanted {
  const { code, settingsPage } = entry
  const fields: JsonObject = {
    HANDLER: handler,
    NAME: entry.name,
    USE_SUBSCRIPTION: entry.useSubscription ? 'Y' : 'N',
    ...filled({
      DESCRIPTION: entry.description,
      AUTH_USER_ID: entry.user,
      PROPERTIES: entry.properties,
      RETURN_PROPERTIES: entry.returnProperties,
      DOCUMENT_TYPE: entry.documentType,
      FILTER: entry.filter,
    }),
    ...(settingsPage === undefined ? {} : { USE_PLACEMENT: 'Y', PLACEMENT_HANDLER: page(settingsPage) }),
  }
  const method = `bizproc.${kind}`
  return {
    kind,
    key: code.toLowerCase(),
    label: code,
    bind: { method: `${method}.add`, params: { CODE: code, ...fields } },
    change: () => [{ method: `${method}.update`, params: { CODE: code, FIELDS: fields } }],
  }
}

/** https://apidocs.bitrix24.com/api-reference/widgets/placement-bind.html */
function placementWanted(entry: PlacementEntry, addresses: Addresses): Wanted {
  const { placement, title, description, group, languages, user = 0 } = entry
  const handler = addressOf(entry, addresses)
  const options = optionsOf(entry, addresses)
  const translated = Object.entries(languages ?? {}).map(([language, words]) => [
    language,
    filled({ TITLE: words.title, DESCRIPTION: words.description, GROUP_NAME: words.group }),
  ])
  const bind = {
    method: 'placement.bind',
    params: {
      PLACEMENT: placement,
      HANDLER: handler,
      ...filled({ TITLE: title, DESCRIPTION: description, GROUP_NAME: group, OPTIONS: options }),
      ...(languages === undefined ? {} : { LANG_ALL: Object.fromEntries(translated) as JsonObject }),
      ...(user === 0 ? {} : { USER_ID: user }),
    },
  }
  return {
    kind: 'placement',
    key: placementKey(placement, user, handler),
    label: user === 0 ? placement : `${placement} of user ${user}`,
    bind,
    change: anew(bind),
  }
}

/**
 * A background worker has to name an address for the news that the portal has switched it off.
 *
 * https://apidocs.bitrix24.com/api-reference/widgets/universal/background-worker.html
 */
function optionsOf({ placement, options }: PlacementEntry, { handler }: Addresses): JsonObject | undefined {
  if (placement !== 'PAGE_BACKGROUND_WORKER') return options
  return { errorHandlerUrl: handler, ...options }
}

/** https://apidocs.bitrix24.com/api-reference/widgets/user-field/userfieldtype-add.html */
function userFieldTypeWanted(
  entry: SubscriptionDocument['userFieldTypes'][number],
  addresses: Addresses,
): Wanted {
  const { id, title, description, options } = entry
  const params: JsonObject = {
    USER_TYPE_ID: id,
    HANDLER: addressOf(entry, addresses),
    TITLE: title,
    ...filled({ DESCRIPTION: description, OPTIONS: options }),
  }
  return {
    kind: 'userfieldtype',
    key: id.toLowerCase(),
    label: id,
    bind: { method: 'userfieldtype.add', params },
    change: () => [{ method: 'userfieldtype.update', params }],
  }
}

/**
 * https://apidocs.bitrix24.com/api-reference/chat-bots/chat-bots-v2/imbot.v2/bots/bot-register.html and, for version 1,
 * https://apidocs.bitrix24.com/api-reference/chat-bots/outdated/bots/imbot-register.html
 */
function botWanted(entry: SubscriptionDocument['bots'][number], { handler }: Addresses): Wanted {
  const { code, version, name, type, openline, properties, fetch = false } = entry
  const common = { key: code.toLowerCase(), label: code }
  if (version === 1) {
    const fields: JsonObject = {
      EVENT_HANDLER: handler,
      ...filled({ TYPE: type, OPENLINE: openline === undefined ? undefined : openline ? 'Y' : 'N' }),
      PROPERTIES: { NAME: name, ...properties },
    }
    return {
      ...common,
      kind: 'bot',
      bind: { method: 'imbot.register', params: { CODE: code, ...fields } },
      change: ({ id = 0 }) => [{ method: 'imbot.update', params: { BOT_ID: id, FIELDS: fields } }],
    }
  }
  const fields: JsonObject = {
    properties: { name, ...properties },
    ...(fetch ? { eventMode: 'fetch' } : { eventMode: 'webhook', webhookUrl: handler }),
    ...filled({ type, isSupportOpenline: openline }),
  }
  return {
    ...common,
    kind: 'bot.v2',
    bind: { method: 'imbot.v2.Bot.register', params: { fields: { code, ...fields } } },
    change: ({ id = 0 }) => [{ method: 'imbot.v2.Bot.update', params: { botId: id, fields } }],
  }
}

function anew(bind: Call): Wanted['change'] {
  return ({ unbind }) => [unbind, bind]
}

function addressOf(
  { page, url }: { readonly page?: string | undefined; readonly url?: string | undefined },
  addresses: Addresses,
): string {
  return url ?? addresses.page(page ?? '')
}

/** Only what is there. */
function filled(values: Readonly<Record<string, JsonObject[string] | undefined>>): JsonObject {
  return Object.fromEntries(
    Object.entries(values).filter((pair): pair is [string, JsonObject[string]] => pair[1] !== undefined),
  )
}
