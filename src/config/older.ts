import { parseRequestLimit, type RequestLimit } from '../model/limits.ts'
import { type ContractName, FIELDS, type Field, type SettingKey } from './fields.ts'
import { firstTokens } from './first-tokens.ts'
import { maskUrl } from './kinds.ts'

/** A variable as found: its text, and where it stood (`environment`, `.env`). */
export interface Found {
  readonly text: string
  readonly source: string
}

/** All variables that are set, by name; empty ones are left out. */
export type Variables = ReadonlyMap<string, Found>

/** The text that older variables give a setting. */
export interface OlderText {
  readonly text: string
  /** The variables it came from, for faults and for `config print`. */
  readonly names: readonly string[]
  readonly source: string
}

/** What the variables of an older program say about one setting. */
export interface OlderAnswer {
  readonly value?: OlderText
  readonly faults: readonly string[]
  /** Sentences worth a warning. */
  readonly notes: readonly string[]
}

/** Variables of the older programs that are accepted and change nothing, each with the reason. */
export const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  SECRET_KEY: 'there are no sessions to sign',
  DB_USER: 'the older program never connected to it; set BRIDGE_STORE to use a database server',
  DB_PASSWORD: 'the older program never connected to it; set BRIDGE_STORE to use a database server',
  DB_HOST: 'the older program never connected to it; set BRIDGE_STORE to use a database server',
  DB_PORT: 'the older program never connected to it; set BRIDGE_STORE to use a database server',
  RABBITMQ_MANAGMENT_PORT: 'the management port is not used',
  BITRIX24_USE_WEBHOOK: 'a webhook is used when there is one',
  BITRIX24_CODE: 'it lives for 30 seconds only',
  BITRIX24_ACCESS_TOKEN: 'the refresh token says whose it is and gives a new one',
}

/** An application instead of a webhook: see `firstTokens`. */
const APPLICATION = ['BITRIX24_CLIENT_ID', 'BITRIX24_CLIENT_SECRET', 'BITRIX24_REFRESH_TOKEN']

/** Names that other programs use too: they select nothing when `BRIDGE_BROKER` says where the broker is. */
const ADDRESS = new Set(
  'RABBITMQ_URL RABBITMQ_HOST RABBITMQ_PORT RABBITMQ_VIRTUAL_HOST RABBITMQ_USER RABBITMQ_PASS AMQPURL'.split(
    ' ',
  ),
)
/** Names that say too little about who uses them. */
const COMMON = new Set('DEBUG SECRET_KEY ALLOWED_HOSTS CORS_HOSTS DB_URL REQUESTS_PER_PERIOD'.split(' '))

/**
 * The older programs whose variables are present, each with the variables that gave it away. Kubernetes sets
 * `RABBITMQ_PORT=tcp://…` in every container beside a service of that name; such a value says nothing.
 */
export function olderPrograms(variables: Variables): ReadonlyMap<ContractName, readonly string[]> {
  const programs = new Map<ContractName, string[]>()
  const add = (contract: ContractName, name: string): void => {
    if (!variables.has(name) || COMMON.has(name) || variables.get(name)?.text.startsWith('tcp://')) return
    if (ADDRESS.has(name) && variables.has('BRIDGE_BROKER')) return
    programs.set(contract, [...(programs.get(contract) ?? []), name])
  }
  for (const field of Object.values<Field>(FIELDS))
    for (const [contract, names] of Object.entries(field.older ?? {}))
      for (const name of names) if (!/^(DB|REQUESTS)_/.test(name)) add(contract as ContractName, name)
  for (const name of Object.keys(WITHOUT_EFFECT))
    if (/^(RABBITMQ|BITRIX24)_/.test(name)) add('bitrix24-bridge', name)
  for (const name of APPLICATION) add('bitrix24-bridge', name)
  return programs
}

/** What the older variables of this contract say about one setting. */
export function readOlder(key: SettingKey, contract: ContractName, variables: Variables): OlderAnswer {
  if (contract === 'bitrix24-bridge') {
    if (key === 'broker') return rabbitmq(variables)
    if (key === 'portal') return portal(variables)
    if (key === 'limits') return cap(variables)
    if (key === 'store') return database(variables)
    if (key === 'exchangeType') return exchangeType(variables)
    if (key === 'allowedHosts' || key === 'corsHosts') {
      if (isTrue(variables.get('DEBUG')?.text ?? 'true')) return nothing
    }
  }
  const names = (FIELDS[key] as Field).older?.[contract] ?? []
  return plain(names, variables)
}

/** Variables of the Django client of bitrix24-bridge, read as the server's own; the server's names win. */
export function clientVariables(variables: Variables): Variables {
  const all = new Map(variables)
  for (const [name, found] of variables) {
    if (!name.startsWith('BB_RABBITMQ_')) continue
    const server =
      name === 'BB_RABBITMQ_ROUTING_KEY' ? 'RABBITMQ_COMMAND_ROUTING_KEY' : name.slice('BB_'.length)
    if (!variables.has(server)) all.set(server, { ...found, source: `${found.source} ${name} as` })
  }
  return all
}

const nothing: OlderAnswer = { faults: [], notes: [] }

function plain(names: readonly string[], variables: Variables): OlderAnswer {
  const name = names.find((one) => variables.has(one))
  const found = name === undefined ? undefined : variables.get(name)
  if (name === undefined || found === undefined) return nothing
  return { ...nothing, value: { ...found, names: [name] } }
}

/** `RABBITMQ_URL`, or an address made of its parts and their defaults. */
function rabbitmq(variables: Variables): OlderAnswer {
  if (variables.has('RABBITMQ_URL')) return plain(['RABBITMQ_URL'], variables)
  const parts = (FIELDS.broker.older['bitrix24-bridge'] as readonly string[]).filter((one) =>
    variables.has(one),
  )
  if (parts.length === 0 && !olderPrograms(variables).has('bitrix24-bridge')) return nothing
  const part = (name: string, otherwise: string): string => variables.get(name)?.text ?? otherwise
  const port = part('RABBITMQ_PORT', '5672')
  const service = /^tcp:\/\/.*:(\d+)$/.exec(port)
  const number = service?.[1] ?? port
  if (!/^\d{1,5}$/.test(number))
    return { ...nothing, faults: [`RABBITMQ_PORT must be a port, not "${port}".`] }
  const vhost = part('RABBITMQ_VIRTUAL_HOST', '/')
  const host = part('RABBITMQ_HOST', '127.0.0.1')
  const user = encodeURIComponent(part('RABBITMQ_USER', 'rabbitmq'))
  const pass = encodeURIComponent(part('RABBITMQ_PASS', 'rabbitmq'))
  return {
    ...nothing,
    value: {
      text: `amqp://${user}:${pass}@${host}:${number}/${encodeURIComponent(vhost)}`,
      names: parts,
      source: parts.length === 0 ? 'default of bitrix24-bridge' : sourceOf(parts, variables),
    },
  }
}

/** The webhook in `BITRIX24_WEBHOOK_CODE` (a code or a whole URL), `BITRIX24_DOMAIN` and the user number. */
function portal(variables: Variables): OlderAnswer {
  const domain = variables.get('BITRIX24_DOMAIN')?.text.trim()
  const code = variables.get('BITRIX24_WEBHOOK_CODE')?.text.trim()
  if (domain === undefined && code === undefined) return nothing
  if (code === undefined && firstTokens(variables) !== undefined) return nothing
  if (code === undefined)
    return {
      ...nothing,
      faults: ['BITRIX24_WEBHOOK_CODE is not set; give it the code of an incoming webhook of the portal.'],
    }
  const names = ['BITRIX24_DOMAIN', 'BITRIX24_WEBHOOK_CODE', 'BITRIX24_WEBHOOK_USER_ID']
  if (/^https?:\/\//.test(code)) return plain(['BITRIX24_WEBHOOK_CODE'], variables)
  if (domain === undefined)
    return {
      ...nothing,
      faults: ['BITRIX24_DOMAIN is not set; give it the host of the portal, such as example.bitrix24.com.'],
    }
  const host = domain.replace(/^[a-z]+:\/\//i, '').replace(/\/+$/, '')
  const user = variables.get('BITRIX24_WEBHOOK_USER_ID')?.text ?? '1'
  const present = names.filter((one) => variables.has(one))
  return {
    faults: [],
    notes: host === domain ? [] : ['BITRIX24_DOMAIN is a host name; its scheme or slash was left out.'],
    value: {
      text: `https://${host}/rest/${user}/${code}/`,
      names: present,
      source: sourceOf(present, variables),
    },
  }
}

/** The older cap on requests, as a limit that is never above the portal's own. */
function cap(variables: Variables): OlderAnswer {
  const names = ['REQUESTS_PER_PERIOD', 'REQUESTS_PERIOD'].filter((one) => variables.has(one))
  if (names.length === 0) return nothing
  const faults = names
    .filter((one) => !(Number(variables.get(one)?.text) > 0))
    .map((one) => `${one} must be a number above 0.`)
  if (faults.length > 0) return { ...nothing, faults }
  const requests = Number(variables.get('REQUESTS_PER_PERIOD')?.text ?? '100')
  const seconds = Number(variables.get('REQUESTS_PERIOD')?.text ?? '15')
  const limit = capLimit(parseRequestLimit(FIELDS.limits.default) as RequestLimit, requests, seconds)
  return {
    ...nothing,
    value: {
      text: `${limit.capacity}/${limit.drainPerSecond}`,
      names,
      source: sourceOf(names, variables),
    },
  }
}

/**
 * The widest limit that is within `limit` and lets no more than `requests` pass in any stretch of `seconds`: a
 * bucket of capacity c and drain d passes fewer than c + d·seconds + 1 of them.
 */
export function capLimit(limit: RequestLimit, requests: number, seconds: number): RequestLimit {
  const drain = Math.max(0.0001, Math.floor((requests / seconds) * 10_000) / 10_000)
  const drainPerSecond = Math.min(limit.drainPerSecond, drain)
  const room = Math.floor(requests + 1 - drainPerSecond * seconds)
  return { capacity: Math.max(1, Math.min(limit.capacity, room)), drainPerSecond }
}

/**
 * The older program only glued a database address together and never connected, so what stands there may not exist: a
 * server is used only when BRIDGE_STORE says so. An SQLite file is taken.
 */
function database(variables: Variables): OlderAnswer {
  const url = variables.get('DB_URL')
  if (url?.text.startsWith('sqlite:')) return plain(['DB_URL'], variables)
  const driver = variables.get('DB_DRIVER')?.text.toLowerCase()
  const file = variables.get('DB_NAME')
  if (url === undefined && driver?.startsWith('sqlite') && file !== undefined)
    return { ...nothing, value: { text: `sqlite:${file.text}`, names: ['DB_NAME'], source: file.source } }
  const named = url === undefined ? (driver === undefined ? undefined : 'DB_DRIVER') : 'DB_URL'
  if (named === undefined) return nothing
  const shown = url === undefined ? driver : maskUrl(url.text)
  return {
    ...nothing,
    notes: [
      `${named} (${shown}) is not used by itself, because the older program never connected to it: set BRIDGE_STORE to its address to keep the store there.`,
    ],
  }
}

/** Upper and lower case are the same; an unknown type is topic, as it always was. */
function exchangeType(variables: Variables): OlderAnswer {
  const found = variables.get('RABBITMQ_EXCHANGE_TYPE')
  if (found === undefined) return nothing
  const known = 'value' in FIELDS.exchangeType.kind.parse(found.text)
  return {
    faults: [],
    notes: known ? [] : [`RABBITMQ_EXCHANGE_TYPE "${found.text}" is unknown; topic is used.`],
    value: { ...found, text: known ? found.text : 'topic', names: ['RABBITMQ_EXCHANGE_TYPE'] },
  }
}

function isTrue(text: string): boolean {
  const parsed = FIELDS.strictOrder.kind.parse(text)
  return 'value' in parsed && parsed.value
}

function sourceOf(names: readonly string[], variables: Variables): string {
  return [...new Set(names.map((one) => variables.get(one)?.source ?? ''))].join(', ')
}
