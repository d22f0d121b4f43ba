import { eventPatterns, scanEntities, scanMinutes } from './event-kinds.ts'
import * as kind from './kinds.ts'
import { methodPatterns } from './list-kinds.ts'
import { networks, urls } from './network-kinds.ts'
import { patterns, webhookSecrets } from './outbox-kinds.ts'

/** The wire formats, by the program that spoke them first. */
export type ContractName = 'native' | 'bitrix24-bridge' | 'rabbitmq-to-bitrix24'

/** One setting. Everything that is said about settings anywhere is made from this. */
export interface Field<T = unknown> {
  readonly group: string
  /** Name in the environment and in `.env`. */
  readonly env: string
  /** The flag and the word for its value. */
  readonly flag: string
  readonly kind: kind.Kind<T>
  /** Text of the default; a setting without one may stay unset. */
  readonly default?: string
  /** Defaults that differ under the contract of an older program. */
  readonly defaultFor?: Partial<Record<ContractName, string>>
  /** What the default is, in words, when no single text says it. */
  readonly defaultNote?: string
  readonly unit?: string
  readonly secret?: true
  /** One sentence. */
  readonly about: string
  /** Variables of the older programs that give the same setting, the first one that is set counts. */
  readonly older?: Partial<Record<ContractName, readonly string[]>>
}

const CONNECTIONS = 'Connections'
const PORTALS = 'Portals and secrets'
const QUEUES = 'Contract and queues'
const SENDING = 'Calls to the portal'
const EVENTS = 'Events'
const OUTBOX = 'Outbox'
const PAGES = 'Subscriptions and pages'
const SERVICE = 'Service'

/** Every setting, once. */
export const FIELDS = {
  broker: {
    group: CONNECTIONS,
    env: 'BRIDGE_BROKER',
    flag: '--broker <address>',
    kind: kind.broker,
    default: 'embedded',
    secret: true,
    about:
      'Where commands come from: queues inside the store, or RabbitMQ by its amqp:// or amqps:// address.',
    older: {
      'bitrix24-bridge': [
        'RABBITMQ_URL',
        'RABBITMQ_HOST',
        'RABBITMQ_PORT',
        'RABBITMQ_VIRTUAL_HOST',
        'RABBITMQ_USER',
        'RABBITMQ_PASS',
      ],
      'rabbitmq-to-bitrix24': ['AMPQURL', 'AMQPURL'],
    },
  },
  store: {
    group: CONNECTIONS,
    env: 'BRIDGE_STORE',
    flag: '--store <address>',
    kind: kind.store,
    default: 'sqlite:./data/bridge.db',
    secret: true,
    about: 'Where the bridge remembers portals, tokens, commands, replies and dead letters.',
    older: { 'bitrix24-bridge': ['DB_URL', 'DB_DRIVER', 'DB_NAME'] },
  },
  portal: {
    group: CONNECTIONS,
    env: 'BRIDGE_PORTAL',
    flag: '--portal <url>',
    kind: kind.webhook,
    secret: true,
    about: 'Webhook URL of the portal that answers commands which name no other.',
    older: { 'bitrix24-bridge': ['BITRIX24_DOMAIN', 'BITRIX24_WEBHOOK_CODE', 'BITRIX24_WEBHOOK_USER_ID'] },
  },
  rest: {
    group: CONNECTIONS,
    env: 'BRIDGE_REST',
    flag: '--rest <url>',
    kind: kind.restRoot,
    defaultNote: 'the address in `BRIDGE_PORTAL`',
    about: 'REST address for messages that bring user and token along (contract rabbitmq-to-bitrix24).',
    older: { 'rabbitmq-to-bitrix24': ['B24REST'] },
  },
  tlsCa: {
    group: CONNECTIONS,
    env: 'BRIDGE_TLS_CA',
    flag: '--tls-ca <file>',
    kind: kind.text,
    about: 'PEM file with the authority behind self-made certificates of a portal or broker.',
  },
  http: {
    group: CONNECTIONS,
    env: 'BRIDGE_HTTP',
    flag: '--http <address>',
    kind: kind.http,
    default: '127.0.0.1:8000',
    defaultFor: { 'bitrix24-bridge': '0.0.0.0:8000' },
    about: 'Where health, metrics and commands over HTTP are served.',
  },
  adminToken: {
    group: CONNECTIONS,
    env: 'BRIDGE_ADMIN_TOKEN',
    flag: '--admin-token <token>',
    kind: kind.secret,
    secret: true,
    about:
      'Bearer token for `POST /v1/commands`; without it only programs on this machine may send commands.',
  },
  allowedHosts: {
    group: CONNECTIONS,
    env: 'BRIDGE_ALLOWED_HOSTS',
    flag: '--allowed-hosts <hosts>',
    kind: kind.hosts,
    default: '*',
    about: 'Host names that HTTP requests may ask for, separated by commas.',
    older: { 'bitrix24-bridge': ['ALLOWED_HOSTS'] },
  },
  corsHosts: {
    group: CONNECTIONS,
    env: 'BRIDGE_CORS_HOSTS',
    flag: '--cors-hosts <hosts>',
    kind: kind.hosts,
    defaultNote: 'none',
    about: 'Web pages of these hosts may read the HTTP answers, separated by commas.',
    older: { 'bitrix24-bridge': ['CORS_HOSTS'] },
  },

  portalParameters: {
    group: PORTALS,
    env: 'BRIDGE_PORTAL_PARAMETERS',
    flag: '--portal-parameters <parameters>',
    kind: kind.parameters,
    secret: true,
    about:
      'Proves calls to an isolated self-hosted portal instead of a webhook, such as `secret_word=…`; BRIDGE_REST says where it is.',
  },
  secretKey: {
    group: PORTALS,
    env: 'BRIDGE_SECRET_KEY',
    flag: '--secret-key <keys>',
    kind: kind.secretKeys,
    defaultNote: 'the file `secret.key` beside an SQLite store, made when it is missing',
    secret: true,
    about: 'Seals tokens, webhooks and client secrets in the store; a database on a server needs it.',
  },
  production: {
    group: PORTALS,
    env: 'BRIDGE_PRODUCTION',
    flag: '--production <yes>',
    kind: kind.boolean,
    default: 'false',
    about: 'Others depend on this installation: it does not start without `BRIDGE_SECRET_KEY`.',
  },
  oauthServers: {
    group: PORTALS,
    env: 'BRIDGE_OAUTH_SERVERS',
    flag: '--oauth-servers <urls>',
    kind: kind.origins,
    defaultNote: "only the cloud's",
    about: "Authorization servers of self-hosted portals that are trusted besides the cloud's.",
  },

  contract: {
    group: QUEUES,
    env: 'BRIDGE_CONTRACT',
    flag: '--contract <name>',
    kind: kind.choice('native', 'bitrix24-bridge', 'rabbitmq-to-bitrix24'),
    defaultNote: 'native, or that of the older program whose variables are present',
    about: 'How commands and replies are written.',
  },
  contractStrict: {
    group: QUEUES,
    env: 'BRIDGE_CONTRACT_STRICT',
    flag: '--contract-strict <yes>',
    kind: kind.boolean,
    default: 'false',
    about: "Repeats an older program's oddities in replies too.",
  },
  topology: {
    group: QUEUES,
    env: 'BRIDGE_TOPOLOGY',
    flag: '--topology <mode>',
    kind: kind.choice('declare', 'passive', 'off'),
    default: 'declare',
    defaultFor: { 'rabbitmq-to-bitrix24': 'passive' },
    about: 'Create missing queues (declare), only check them (passive), or neither (off).',
  },
  commandQueue: {
    group: QUEUES,
    env: 'BRIDGE_COMMAND_QUEUE',
    flag: '--command-queue <name>',
    kind: kind.name,
    default: 'b24.commands',
    defaultFor: { 'bitrix24-bridge': 'bitrix24-command', 'rabbitmq-to-bitrix24': 'bitrix24in' },
    about: 'Queue from which commands are taken.',
    older: {
      'bitrix24-bridge': ['RABBITMQ_COMMAND_QUEUE'],
      'rabbitmq-to-bitrix24': ['AMPQIN', 'AMQPIN'],
    },
  },
  replyQueue: {
    group: QUEUES,
    env: 'BRIDGE_REPLY_QUEUE',
    flag: '--reply-queue <name>',
    kind: kind.name,
    default: 'b24.replies',
    defaultFor: { 'bitrix24-bridge': 'bitrix24-info', 'rabbitmq-to-bitrix24': 'bitrix24out' },
    about:
      'Queue for replies to commands without reply_to; for rabbitmq-to-bitrix24 the name of the reply exchange or queue.',
    older: {
      'bitrix24-bridge': ['RABBITMQ_SEND_MESSAGE_QUEUE', 'RABBITMQ_MESSAGE_QUEUE'],
      'rabbitmq-to-bitrix24': ['AMPQOUT', 'AMQPOUT'],
    },
  },
  deadQueue: {
    group: QUEUES,
    env: 'BRIDGE_DEAD_QUEUE',
    flag: '--dead-queue <name>',
    kind: kind.name,
    default: 'b24.dead',
    about: 'With native: queue for what had to be set aside.',
  },
  deadLetters: {
    group: QUEUES,
    env: 'BRIDGE_DEAD_LETTERS',
    flag: '--dead-letters <where>',
    kind: kind.choice('store', 'queue'),
    default: 'store',
    about:
      'Where what was set aside waits: the service moves it from its queue into the store, or leaves it in the queue for other tools.',
  },
  deadRetention: {
    group: QUEUES,
    env: 'BRIDGE_DEAD_RETENTION',
    flag: '--dead-retention <days>',
    kind: kind.number(1, 3650),
    default: '30',
    unit: 'days',
    about: 'How long the store keeps a dead letter.',
  },
  keepUnknown: {
    group: QUEUES,
    env: 'BRIDGE_KEEP_UNKNOWN',
    flag: '--keep-unknown <yes>',
    kind: kind.boolean,
    default: 'true',
    defaultFor: { 'bitrix24-bridge': 'false', 'rabbitmq-to-bitrix24': 'false' },
    about: 'A command whose end nobody knows goes among the dead letters too, besides its reply.',
  },
  keepFailed: {
    group: QUEUES,
    env: 'BRIDGE_KEEP_FAILED',
    flag: '--keep-failed <methods>',
    kind: methodPatterns,
    default: 'bizproc.event.send',
    defaultFor: { 'bitrix24-bridge': 'off', 'rabbitmq-to-bitrix24': 'off' },
    about:
      'A command that calls one of these methods and fails goes among the dead letters too, besides its reply: names with `*` for any letters, separated by commas.',
  },
  replyMode: {
    group: QUEUES,
    env: 'BRIDGE_REPLY_MODE',
    flag: '--reply-mode <mode>',
    kind: kind.choice('auto', 'exchange', 'queue', 'reply_to'),
    default: 'auto',
    about: 'Where rabbitmq-to-bitrix24 sends replies; auto looks which of exchange and queue exists.',
  },
  replyToAllowed: {
    group: QUEUES,
    env: 'BRIDGE_REPLY_TO_ALLOWED',
    flag: '--reply-to-allowed <yes>',
    kind: kind.boolean,
    default: 'false',
    about: 'With bitrix24-bridge: a command with reply_to gets its reply there instead.',
  },
  replyMany: {
    group: QUEUES,
    env: 'BRIDGE_REPLY_MANY',
    flag: '--reply-many <yes>',
    kind: kind.boolean,
    default: 'true',
    about:
      'With bitrix24-bridge: the result is always an array; false gives a bare object where there is one.',
  },
  strictOrder: {
    group: QUEUES,
    env: 'BRIDGE_STRICT_ORDER',
    flag: '--strict-order <yes>',
    kind: kind.boolean,
    default: 'false',
    about: 'With rabbitmq-to-bitrix24: one command after another, replies in the order of the commands.',
  },
  exchange: {
    group: QUEUES,
    env: 'BRIDGE_EXCHANGE',
    flag: '--exchange <name>',
    kind: kind.name,
    default: 'bitrix24',
    about: 'With bitrix24-bridge: exchange for commands and replies.',
    older: { 'bitrix24-bridge': ['RABBITMQ_EXCHANGE'] },
  },
  exchangeType: {
    group: QUEUES,
    env: 'BRIDGE_EXCHANGE_TYPE',
    flag: '--exchange-type <type>',
    kind: kind.choice('topic', 'direct', 'fanout', 'headers'),
    default: 'topic',
    about: 'With bitrix24-bridge: type of that exchange.',
    older: { 'bitrix24-bridge': ['RABBITMQ_EXCHANGE_TYPE'] },
  },
  exchangeDurable: {
    group: QUEUES,
    env: 'BRIDGE_EXCHANGE_DURABLE',
    flag: '--exchange-durable <yes>',
    kind: kind.boolean,
    default: 'true',
    about: 'With bitrix24-bridge: the exchange survives a restart of the broker.',
    older: { 'bitrix24-bridge': ['RABBITMQ_EXCHANGE_DURABLE'] },
  },
  queueDurable: {
    group: QUEUES,
    env: 'BRIDGE_QUEUE_DURABLE',
    flag: '--queue-durable <yes>',
    kind: kind.boolean,
    default: 'true',
    about: 'With bitrix24-bridge: the queues survive a restart of the broker.',
    older: { 'bitrix24-bridge': ['RABBITMQ_QUEUE_DURABLE'] },
  },
  commandKey: {
    group: QUEUES,
    env: 'BRIDGE_COMMAND_KEY',
    flag: '--command-key <key>',
    kind: kind.name,
    default: 'send.command',
    about: 'With bitrix24-bridge: routing key by which commands reach the command queue.',
    older: { 'bitrix24-bridge': ['RABBITMQ_COMMAND_ROUTING_KEY'] },
  },
  replyKey: {
    group: QUEUES,
    env: 'BRIDGE_REPLY_KEY',
    flag: '--reply-key <key>',
    kind: kind.name,
    default: 'send.info',
    about: 'With bitrix24-bridge: routing key of replies.',
    older: { 'bitrix24-bridge': ['RABBITMQ_ROUTING_KEY'] },
  },
  prefetch: {
    group: QUEUES,
    env: 'BRIDGE_PREFETCH',
    flag: '--prefetch <count>',
    kind: kind.integer(1, 65535),
    default: '500',
    about: 'Commands taken from the queue and not yet answered, at most.',
  },

  limits: {
    group: SENDING,
    env: 'BRIDGE_LIMITS',
    flag: '--limits <limit>',
    kind: kind.limits,
    default: 'standard',
    about: "The portal's request limit: standard is 50/2, enterprise 250/5, off for a portal without one.",
    older: { 'bitrix24-bridge': ['REQUESTS_PER_PERIOD', 'REQUESTS_PERIOD'] },
  },
  operatingLimit: {
    group: SENDING,
    env: 'BRIDGE_OPERATING_LIMIT',
    flag: '--operating-limit <seconds>',
    kind: kind.number(0, 3600),
    default: '480',
    unit: 'seconds',
    about:
      'Seconds that one method may use within ten minutes before the portal blocks it; 0 stops our own watch.',
  },
  maxInFlight: {
    group: SENDING,
    env: 'BRIDGE_MAX_IN_FLIGHT',
    flag: '--max-in-flight <count>',
    kind: kind.integer(1, 1000),
    default: '10',
    about: 'Requests under way to one portal at once, at most.',
  },
  requestTimeout: {
    group: SENDING,
    env: 'BRIDGE_REQUEST_TIMEOUT',
    flag: '--request-timeout <seconds>',
    kind: kind.number(1, 600),
    default: '65',
    unit: 'seconds',
    about: 'How long the answer to one request is awaited; the portal itself gives up after 60.',
  },
  portalWait: {
    group: SENDING,
    env: 'BRIDGE_PORTAL_WAIT',
    flag: '--portal-wait <seconds>',
    kind: kind.number(0, 86_400),
    default: '300',
    unit: 'seconds',
    about: 'How long a command waits for an unreachable portal before it is answered with an error.',
  },
  quietPeriod: {
    group: SENDING,
    env: 'BRIDGE_QUIET_PERIOD',
    flag: '--quiet-period <seconds>',
    kind: kind.number(0, 3600),
    default: '75',
    unit: 'seconds',
    about:
      'How long a write whose answer was lost is left alone before it is looked up or repeated, where the command allows that. The cloud works on a request for 60 seconds at most; set more for a self-hosted portal that has no such bound.',
  },

  events: {
    group: EVENTS,
    env: 'BRIDGE_EVENTS',
    flag: '--events <yes>',
    kind: kind.boolean,
    default: 'true',
    defaultFor: { 'bitrix24-bridge': 'false', 'rabbitmq-to-bitrix24': 'false' },
    about: 'Take what portals post to `/b24/events` and publish it.',
  },
  eventsExchange: {
    group: EVENTS,
    env: 'BRIDGE_EVENTS_EXCHANGE',
    flag: '--events-exchange <name>',
    kind: kind.name,
    default: 'b24.events',
    about:
      'Topic exchange for events; those that no queue is bound for stay on the queue `{exchange}.unrouted`.',
  },
  eventsRaw: {
    group: EVENTS,
    env: 'BRIDGE_EVENTS_RAW',
    flag: '--events-raw <yes>',
    kind: kind.boolean,
    default: 'false',
    about: 'Add all fields as the portal posted them, without tokens, to every event.',
  },
  eventsBudget: {
    group: EVENTS,
    env: 'BRIDGE_EVENTS_BUDGET',
    flag: '--events-budget <milliseconds>',
    kind: kind.integer(10, 2000),
    default: '250',
    unit: 'milliseconds',
    about: 'How long the broker may confirm nothing before events are kept in the store instead.',
  },
  eventsSpoolMax: {
    group: EVENTS,
    env: 'BRIDGE_EVENTS_SPOOL_MAX',
    flag: '--events-spool-max <count>',
    kind: kind.integer(1, 1_000_000_000),
    default: '1000000',
    about:
      'Events that the store keeps at most while the broker is away; further ones are lost, and portals get 503.',
  },
  eventsMaxBody: {
    group: EVENTS,
    env: 'BRIDGE_EVENTS_MAX_BODY',
    flag: '--events-max-body <bytes>',
    kind: kind.integer(4096, 16_777_216),
    default: '1048576',
    unit: 'bytes',
    about: 'The largest form that a portal may post.',
  },
  eventSources: {
    group: EVENTS,
    env: 'BRIDGE_EVENT_SOURCES',
    flag: '--event-sources <mode>',
    kind: kind.choice('off', 'log', 'enforce'),
    default: 'off',
    about:
      'Besides the application token: log event requests from addresses that are not published as senders, or refuse them.',
  },
  eventSourceLists: {
    group: EVENTS,
    env: 'BRIDGE_EVENT_SOURCE_LISTS',
    flag: '--event-source-lists <urls>',
    kind: urls,
    default: 'https://dl.bitrix24.com/webhook/app.json,https://dl.bitrix24.com/webhook/app-world.json',
    about: 'Where the addresses of senders are published; read every five minutes.',
  },
  trustedProxies: {
    group: EVENTS,
    env: 'BRIDGE_TRUSTED_PROXIES',
    flag: '--trusted-proxies <addresses>',
    kind: networks,
    defaultNote: 'none: `X-Forwarded-For` is not looked at',
    about: 'Proxies in front of the bridge whose `X-Forwarded-For` says where an event request comes from.',
  },
  offline: {
    group: EVENTS,
    env: 'BRIDGE_OFFLINE',
    flag: '--offline <yes>',
    kind: kind.boolean,
    default: 'true',
    about: 'Fetch the events that portals keep for applications with offline handlers, and publish them.',
  },
  offlineLimit: {
    group: EVENTS,
    env: 'BRIDGE_OFFLINE_LIMIT',
    flag: '--offline-limit <rows>',
    kind: kind.integer(1, 1000),
    default: '50',
    unit: 'rows',
    about:
      'Rows that one read of an offline queue asks for; up to 50 reads and removals travel in one request.',
  },
  offlinePoll: {
    group: EVENTS,
    env: 'BRIDGE_OFFLINE_POLL',
    flag: '--offline-poll <seconds>',
    kind: kind.integer(1, 86_400),
    default: '60',
    unit: 'seconds',
    about: 'How long after the last event an offline queue is looked into although nobody called.',
  },
  offlineIdlePoll: {
    group: EVENTS,
    env: 'BRIDGE_OFFLINE_IDLE_POLL',
    flag: '--offline-idle-poll <seconds>',
    kind: kind.integer(1, 86_400),
    default: '900',
    unit: 'seconds',
    about:
      'How often an offline queue that stays empty is looked into; more seldom where there are thousands.',
  },
  push: {
    group: EVENTS,
    env: 'BRIDGE_PUSH',
    flag: '--push <yes>',
    kind: kind.boolean,
    default: 'true',
    about:
      'Listen to the push servers of portals for every application with the scope `pull`, and publish its messages.',
  },
  pushFormat: {
    group: EVENTS,
    env: 'BRIDGE_PUSH_FORMAT',
    flag: '--push-format <format>',
    kind: kind.choice('json', 'binary'),
    default: 'json',
    about: 'What push servers of version 4 are asked for; both are understood, whatever a server sends.',
  },
  botPoll: {
    group: EVENTS,
    env: 'BRIDGE_BOT_POLL',
    flag: '--bot-poll <seconds>',
    kind: kind.integer(1, 3600),
    default: '5',
    unit: 'seconds',
    about:
      'How long after an event a bot with `fetch: true` is asked for again; while nothing comes the pauses grow up to 30 seconds.',
  },
  scan: {
    group: EVENTS,
    env: 'BRIDGE_SCAN',
    flag: '--scan <minutes>',
    kind: scanMinutes,
    default: 'off',
    unit: 'minutes',
    about:
      'How often each portal is asked what was changed, to find changes of which no event arrived; off does not ask.',
  },
  scanEntities: {
    group: EVENTS,
    env: 'BRIDGE_SCAN_ENTITIES',
    flag: '--scan-entities <names>',
    kind: scanEntities,
    default: 'crm.deal,crm.lead,crm.contact,crm.company,tasks.task',
    about: 'What is asked for: these, and `crm.item:<entityTypeId>` for the items of smart processes.',
  },
  scanSettle: {
    group: EVENTS,
    env: 'BRIDGE_SCAN_SETTLE',
    flag: '--scan-settle <seconds>',
    kind: kind.integer(1, 86_400),
    default: '60',
    unit: 'seconds',
    about: 'How old a change must be before its event counts as missing.',
  },
  eventsRecord: {
    group: EVENTS,
    env: 'BRIDGE_EVENTS_RECORD',
    flag: '--events-record <patterns>',
    kind: eventPatterns,
    default: 'off',
    about:
      'Events that are published with the changed record as it is right after: names with `*` for any letters, such as ONCRM*UPDATE, separated by commas.',
  },
  authConnector: {
    group: EVENTS,
    env: 'BRIDGE_AUTH_CONNECTOR',
    flag: '--auth-connector <name>',
    kind: kind.name,
    defaultNote: 'not sent',
    about:
      'Sent as `auth_connector` with every write by tokens, so that offline handlers with this connector do not hear of it.',
  },

  outbox: {
    group: OUTBOX,
    env: 'BRIDGE_OUTBOX',
    flag: '--outbox <yes>',
    kind: kind.boolean,
    default: 'false',
    about: 'Carry out the rows that others insert into the table `b24_outbox` of the store.',
  },
  outboxPoll: {
    group: OUTBOX,
    env: 'BRIDGE_OUTBOX_POLL',
    flag: '--outbox-poll <seconds>',
    kind: kind.number(0.05, 3600),
    default: '1',
    unit: 'seconds',
    about:
      'The longest pause between two looks into the table while nothing is found; PostgreSQL tells of inserts besides.',
  },
  outboxRetention: {
    group: OUTBOX,
    env: 'BRIDGE_OUTBOX_RETENTION',
    flag: '--outbox-retention <days>',
    kind: kind.number(0.01, 3650),
    default: '7',
    unit: 'days',
    about: 'How long rows that ended, their replies and events stay in `b24_outbox` and `b24_inbox`.',
  },
  outboxSecret: {
    group: OUTBOX,
    env: 'BRIDGE_OUTBOX_SECRET',
    flag: '--outbox-secret <secrets>',
    kind: webhookSecrets,
    secret: true,
    about: 'Signs replies that are posted to the address in a row; without it none is posted.',
  },
  outboxPrivateHosts: {
    group: OUTBOX,
    env: 'BRIDGE_OUTBOX_PRIVATE_HOSTS',
    flag: '--outbox-private-hosts <hosts>',
    kind: kind.hosts,
    defaultNote: 'none',
    about: 'Hosts of private networks that replies may be posted to, also by http://.',
  },
  outboxEvents: {
    group: OUTBOX,
    env: 'BRIDGE_OUTBOX_EVENTS',
    flag: '--outbox-events <patterns>',
    kind: patterns,
    defaultNote: 'none',
    about:
      'Routing keys of events that are kept in `b24_inbox` too, such as event.# or *.*.oncrmdealadd, separated by commas.',
  },

  publicUrl: {
    group: PAGES,
    env: 'BRIDGE_PUBLIC_URL',
    flag: '--public-url <url>',
    kind: kind.publicUrl,
    about: 'Where portals and the browsers of their users reach the bridge, such as https://bridge.example.',
  },
  subscriptions: {
    group: PAGES,
    env: 'BRIDGE_SUBSCRIPTIONS',
    flag: '--subscriptions <file>',
    kind: kind.text,
    about:
      'YAML file of what is to be bound on portals; applied at start and whenever an application is installed or updated.',
  },
  pages: {
    group: PAGES,
    env: 'BRIDGE_PAGES',
    flag: '--pages <pages>',
    kind: kind.pages,
    about:
      'Pages of placements: a folder with a file such as deal-tab.html for each, or names with addresses such as deal-tab=https://app.example/deal, separated by commas.',
  },
  pagesSecret: {
    group: PAGES,
    env: 'BRIDGE_PAGES_SECRET',
    flag: '--pages-secret <secret>',
    kind: kind.secret,
    secret: true,
    about: 'Signs what the addresses of `BRIDGE_PAGES` are told of portal, user and placement.',
  },

  ledgerRetention: {
    group: SERVICE,
    env: 'BRIDGE_LEDGER_RETENTION',
    flag: '--ledger-retention <hours>',
    kind: kind.number(1, 8760),
    default: '24',
    unit: 'hours',
    about: 'How long an answered command is remembered, so that its repetition gets the same reply.',
  },
  drainTimeout: {
    group: SERVICE,
    env: 'BRIDGE_DRAIN_TIMEOUT',
    flag: '--drain-timeout <seconds>',
    kind: kind.number(0, 3600),
    default: '70',
    unit: 'seconds',
    about: 'How long requests under way may take to end after SIGTERM.',
  },
  drainGrace: {
    group: SERVICE,
    env: 'BRIDGE_DRAIN_GRACE',
    flag: '--drain-grace <seconds>',
    kind: kind.number(0, 600),
    defaultNote: '5 where HTTP listens beyond this machine, else 0',
    unit: 'seconds',
    about:
      'How long HTTP goes on at least after SIGTERM, with readiness gone: load balancers need a moment to look elsewhere, and portals do not repeat events.',
  },
  maxBody: {
    group: SERVICE,
    env: 'BRIDGE_MAX_BODY',
    flag: '--max-body <bytes>',
    kind: kind.integer(1024, 536_870_912),
    default: '16777216',
    unit: 'bytes',
    about: 'The largest command or reply; a larger one is answered with an error.',
  },
  logLevel: {
    group: SERVICE,
    env: 'BRIDGE_LOG_LEVEL',
    flag: '--log-level <level>',
    kind: kind.choice('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    default: 'info',
    about: 'The least important log lines that are written.',
  },
  logFormat: {
    group: SERVICE,
    env: 'BRIDGE_LOG_FORMAT',
    flag: '--log-format <format>',
    kind: kind.choice('json', 'pretty'),
    defaultNote: 'pretty on a terminal, json elsewhere',
    about: 'One JSON object a line for machines, or text for people.',
  },
} as const satisfies Record<string, Field>

/** The name of a setting in code. */
export type SettingKey = keyof typeof FIELDS

type ValueOf<F> = F extends { readonly kind: kind.Kind<infer T> }
  ? F extends { readonly default: string }
    ? T
    : T | undefined
  : never

/** The value of every setting. */
export type SettingValues = { readonly [K in SettingKey]: ValueOf<(typeof FIELDS)[K]> }

/** Every setting with its key, in the order of the list. */
export const SETTINGS: readonly (Field & { readonly key: SettingKey })[] = Object.entries(FIELDS).map(
  ([key, field]) => ({ key: key as SettingKey, ...field }),
)

/** The name of the option as the command line parser stores it: `--max-in-flight <count>` is `maxInFlight`. */
export function optionName(field: Field): string {
  const word = field.flag.split(' ')[0] ?? ''
  return word.slice(2).replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

/** The text that counts when nobody set the setting, under the given contract. */
export function defaultText(field: Field, contract: ContractName): string | undefined {
  return field.defaultFor?.[contract] ?? field.default
}
