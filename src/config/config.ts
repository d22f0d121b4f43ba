import type { RequestLimit } from '../model/limits.ts'
import type { Webhook } from '../model/webhook.ts'
import type { SettingValues } from './fields.ts'
import type { FirstTokens } from './first-tokens.ts'
import type { BrokerAddress, HttpAddress, PageSources, RestRoot } from './kinds.ts'
import { isOutside } from './network-kinds.ts'

/** Commands and replies in our own form. */
export interface NativeContractConfig {
  readonly name: 'native'
  readonly commandQueue: string
  readonly replyQueue: string
  readonly deadQueue: string
}

/** The JSON envelope of the Python program, with its exchange and keys. */
export interface Bitrix24BridgeContractConfig {
  readonly name: 'bitrix24-bridge'
  readonly strict: boolean
  readonly commandQueue: string
  readonly replyQueue: string
  readonly exchange: string
  readonly exchangeType: 'topic' | 'direct' | 'fanout' | 'headers'
  readonly exchangeDurable: boolean
  readonly queueDurable: boolean
  readonly commandRoutingKey: string
  readonly replyRoutingKey: string
  /** A command with `reply_to` gets its reply there instead of by the exchange. */
  readonly allowReplyTo: boolean
  /** `result` is always an array; false gives one bare object where there is exactly one. */
  readonly many: boolean
}

/** Commands in AMQP headers, replies as the portal wrote them. */
export interface RabbitmqToBitrix24ContractConfig {
  readonly name: 'rabbitmq-to-bitrix24'
  readonly strict: boolean
  readonly commandQueue: string
  /** Name of the exchange or queue for replies, by `replyMode`. */
  readonly out: string
  readonly replyMode: 'auto' | 'exchange' | 'queue' | 'reply_to'
  readonly strictOrder: boolean
  /** Where the users and tokens of the messages are good. */
  readonly rest: RestRoot | undefined
}

/** What becomes of the things that happen in portals. */
export interface EventsConfig {
  readonly enabled: boolean
  readonly exchange: string
  readonly withRaw: boolean
  readonly budgetMs: number
  /** Events that the store keeps at most while the broker is away. */
  readonly spoolMax: number
  readonly maxFormBytes: number
  /** What is done about requests from addresses that are not published as senders. */
  readonly sources: 'off' | 'log' | 'enforce'
  readonly sourceLists: readonly string[]
  readonly trustedProxies: readonly string[]
  readonly offline: {
    readonly enabled: boolean
    readonly limit: number
    readonly pollMs: number
    readonly idlePollMs: number
  }
  readonly push: { readonly enabled: boolean; readonly format: 'json' | 'binary' }
  /** From an event of a bot that is fetched for to the next look. */
  readonly botPollMs: number
  /** Looking for changes of which no event told; `everyMs` is absent when that is off. */
  readonly scan: {
    readonly everyMs: number | undefined
    readonly entities: readonly string[]
    readonly settleMs: number
  }
  /** Names of events, with `*`, that are published with the changed record. */
  readonly record: readonly string[]
}

/** Commands as rows of the store. */
export interface OutboxConfig {
  readonly enabled: boolean
  readonly pollMs: number
  readonly retentionMs: number
  /** `whsec_…`; the first is the newest. Secret. */
  readonly secrets: readonly string[]
  readonly privateHosts: readonly string[]
  /** Routing keys of events that the inbox has too. */
  readonly events: readonly string[]
}

/** A file of certificates to trust besides the system's. */
export interface CertificateAuthority {
  readonly file: string
  readonly pem: string
}

/** How messages are written, with what that contract needs to know. */
export type ContractConfig =
  | NativeContractConfig
  | Bitrix24BridgeContractConfig
  | RabbitmqToBitrix24ContractConfig

/** All settings of one process, checked. Holds secrets: never log it; show `Reading.settings` instead. */
export interface Config {
  readonly broker: BrokerAddress
  /** Address of the store: `sqlite:FILE`, `postgres://…` and the like; may hold a password. */
  readonly store: string
  readonly portal: Webhook | undefined
  /** A default portal that wants parameters of its own instead of a webhook. Secret. */
  readonly isolated:
    | { readonly clientEndpoint: string; readonly params: Readonly<Record<string, string>> }
    | undefined
  /** For a store that knows no portal yet. */
  readonly firstTokens: FirstTokens | undefined
  /** `null` for a portal without a request limit. */
  readonly limit: RequestLimit | null
  readonly operatingLimitSeconds: number
  readonly maxInFlight: number
  readonly requestTimeoutMs: number
  readonly portalWaitMs: number
  /** How long a write in doubt is left alone. */
  readonly quietMs: number
  readonly contract: ContractConfig
  readonly topology: 'declare' | 'passive' | 'off'
  /** Where what was set aside is kept, and for how long. */
  readonly deadLetters: { readonly where: 'store' | 'queue'; readonly retentionMs: number }
  /** Commands that ended `unknown` are set aside too. */
  readonly keepUnknown: boolean
  /** Names of methods; commands that call them are set aside when they end `failed`. */
  readonly keepFailed: readonly string[]
  readonly prefetch: number
  readonly http: HttpAddress & {
    readonly allowedHosts: readonly string[]
    readonly corsHosts: readonly string[]
  }
  readonly adminToken: string | undefined
  /** Keys that seal the secrets in the store, `name:base64` with commas between them. */
  readonly secretKey: string | undefined
  /** No key is made by itself. */
  readonly production: boolean
  /** Origins of authorization servers that are trusted besides the cloud's. */
  readonly oauthServers: readonly string[]
  /** An additional certificate authority: its file, by full path, and the PEM text in it. */
  readonly tlsCa: CertificateAuthority | undefined
  readonly events: EventsConfig
  readonly outbox: OutboxConfig
  /** Marks our writes by tokens. */
  readonly authConnector: string | undefined
  /** Where portals reach the bridge; without a slash at its end. */
  readonly publicUrl: string | undefined
  /** File of subscriptions that are applied at start and after installations, as it was written. */
  readonly subscriptions: string | undefined
  readonly pages: PageSources | undefined
  /** Signs what pages elsewhere are told. Secret. */
  readonly pagesSecret: string | undefined
  readonly ledgerRetentionMs: number
  readonly drainTimeoutMs: number
  /** HTTP goes on that long after readiness dropped. */
  readonly drainGraceMs: number
  readonly maxBodyBytes: number
  readonly log: {
    readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'
    readonly format: 'json' | 'pretty'
  }
}

/** What a configuration is made of besides the values of its settings. */
export interface ConfigParts {
  readonly values: SettingValues
  readonly rest: RestRoot | undefined
  readonly tlsCa: CertificateAuthority | undefined
  readonly firstTokens: FirstTokens | undefined
  /** Output goes to a terminal. */
  readonly tty: boolean
}

/** The configuration made of checked values. */
export function buildConfig(parts: ConfigParts): Config {
  const { values } = parts
  return {
    broker: values.broker,
    store: values.store,
    portal: values.portal,
    firstTokens: parts.firstTokens,
    isolated: isolatedOf(values),
    limit: values.limits,
    operatingLimitSeconds: values.operatingLimit,
    maxInFlight: values.maxInFlight,
    requestTimeoutMs: values.requestTimeout * 1000,
    portalWaitMs: values.portalWait * 1000,
    quietMs: values.quietPeriod * 1000,
    contract: contractOf(parts),
    topology: values.topology,
    deadLetters: { where: values.deadLetters, retentionMs: values.deadRetention * 86_400_000 },
    keepUnknown: values.keepUnknown,
    keepFailed: values.keepFailed,
    prefetch: values.prefetch,
    http: { ...values.http, allowedHosts: values.allowedHosts, corsHosts: values.corsHosts ?? [] },
    adminToken: values.adminToken,
    secretKey: values.secretKey,
    production: values.production,
    oauthServers: values.oauthServers ?? [],
    tlsCa: parts.tlsCa,
    events: {
      enabled: values.events,
      exchange: values.eventsExchange,
      withRaw: values.eventsRaw,
      budgetMs: values.eventsBudget,
      spoolMax: values.eventsSpoolMax,
      maxFormBytes: values.eventsMaxBody,
      sources: values.eventSources,
      sourceLists: values.eventSourceLists,
      trustedProxies: values.trustedProxies ?? [],
      offline: {
        enabled: values.offline,
        limit: values.offlineLimit,
        pollMs: values.offlinePoll * 1000,
        idlePollMs: values.offlineIdlePoll * 1000,
      },
      push: { enabled: values.push, format: values.pushFormat },
      botPollMs: values.botPoll * 1000,
      scan: {
        everyMs: values.scan === 'off' ? undefined : Math.round(values.scan * 60_000),
        entities: values.scanEntities,
        settleMs: values.scanSettle * 1000,
      },
      record: values.eventsRecord,
    },
    outbox: {
      enabled: values.outbox,
      pollMs: values.outboxPoll * 1000,
      retentionMs: values.outboxRetention * 86_400_000,
      secrets: values.outboxSecret ?? [],
      privateHosts: values.outboxPrivateHosts ?? [],
      events: values.outboxEvents ?? [],
    },
    authConnector: values.authConnector,
    publicUrl: values.publicUrl,
    subscriptions: values.subscriptions,
    pages: values.pages,
    pagesSecret: values.pagesSecret,
    ledgerRetentionMs: values.ledgerRetention * 3_600_000,
    drainTimeoutMs: values.drainTimeout * 1000,
    drainGraceMs: (values.drainGrace ?? (isOutside(values.http) ? 5 : 0)) * 1000,
    maxBodyBytes: values.maxBody,
    log: { level: values.logLevel, format: values.logFormat ?? (parts.tty ? 'pretty' : 'json') },
  }
}

function isolatedOf({ portal, rest, portalParameters: params }: SettingValues): Config['isolated'] {
  if (portal !== undefined || rest === undefined || params === undefined) return undefined
  return { clientEndpoint: `${rest.origin}${rest.root}/`, params }
}

function contractOf({ values, rest }: ConfigParts): ContractConfig {
  const { commandQueue, replyQueue, contractStrict: strict } = values
  switch (values.contract ?? 'native') {
    case 'native':
      return { name: 'native', commandQueue, replyQueue, deadQueue: values.deadQueue }
    case 'bitrix24-bridge':
      return {
        name: 'bitrix24-bridge',
        strict,
        commandQueue,
        replyQueue,
        exchange: values.exchange,
        exchangeType: values.exchangeType,
        exchangeDurable: values.exchangeDurable,
        queueDurable: values.queueDurable,
        commandRoutingKey: values.commandKey,
        replyRoutingKey: values.replyKey,
        allowReplyTo: values.replyToAllowed,
        many: values.replyMany,
      }
    case 'rabbitmq-to-bitrix24':
      return {
        name: 'rabbitmq-to-bitrix24',
        strict,
        commandQueue,
        out: replyQueue,
        replyMode: values.replyMode,
        strictOrder: values.strictOrder,
        rest,
      }
  }
}
