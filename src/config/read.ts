import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { ConfigError } from '../model/errors.ts'
import { buildConfig, type CertificateAuthority, type Config } from './config.ts'
import {
  type ContractName,
  defaultText,
  FIELDS,
  type Field,
  SETTINGS,
  type SettingKey,
  type SettingValues,
} from './fields.ts'
import type { RestRoot } from './kinds.ts'
import { nearest } from './nearest.ts'
import { clientVariables, type Found, olderPrograms, readOlder, type Variables } from './older.ts'

/** Variables by name, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Where settings come from. Nothing else is looked at. */
export interface ConfigSources {
  readonly env: Environment
  /** Folder in which `.env` is looked for and from which file names count. */
  readonly cwd: string
  /** A file to read instead of `.env`; it must exist. */
  readonly envFile?: string
  /** Texts of flags by the key of the setting; they win over everything. */
  readonly flags?: Partial<Record<SettingKey, string>>
  /** Output goes to a terminal; false unless said otherwise. */
  readonly tty?: boolean
  /** `client` also reads the `BB_RABBITMQ_*` variables of the Django client, for sending commands. */
  readonly side?: 'service' | 'client'
  /** Settings that must be there for what is about to happen. */
  readonly needs?: readonly 'portal'[]
}

/** One setting as it was found, fit to be shown: `text` has no secret in it. */
export interface ResolvedSetting {
  readonly key: SettingKey
  readonly field: Field
  /** The value for people; `not set` when there is none. */
  readonly text: string
  /** `default`, `flag --broker`, `environment BRIDGE_BROKER`, `.env RABBITMQ_HOST, RABBITMQ_PORT`. */
  readonly source: string
}

/** All settings as found, with everything that is wrong with them. */
export interface Reading {
  readonly contract: ContractName
  readonly settings: readonly ResolvedSetting[]
  /** One sentence a fault; empty when the configuration is good. */
  readonly faults: readonly string[]
  /** Sentences worth a warning. */
  readonly notes: readonly string[]
  /** Absent when there are faults. */
  readonly config: Config | undefined
}

/** The environment of this process; the only reader of it. */
export function processEnvironment(): Environment {
  return process.env
}

/** The configuration; throws a `ConfigError` that lists every fault at once. */
export function readConfig(sources: ConfigSources): Config {
  const { config, faults } = readSettings(sources)
  if (config === undefined)
    throw new ConfigError(faults, {
      hint: 'Mend the settings named above; `b24-bridge config print` shows all of them.',
    })
  return config
}

/**
 * Every setting with its source, and all faults. A flag wins over `BRIDGE_*` in the environment, that over the
 * `.env` file, that over the variables of an older program, and those over the default. An empty variable is not set.
 */
export function readSettings(sources: ConfigSources): Reading {
  const faults: string[] = []
  const notes: string[] = []
  const variables = readVariables(sources, faults)
  faults.push(...unknownNames(variables))

  const contract = chooseContract(sources, variables, faults)
  const older = olderPrograms(variables).has(contract.name)
  const values: Partial<Record<SettingKey, unknown>> = {}
  const settings = SETTINGS.map((field): ResolvedSetting => {
    const found = field.key === 'contract' ? contract : textOf(field.key)
    if (found === undefined) return { key: field.key, field, text: 'not set', source: 'default' }
    const parsed = field.kind.parse(found.text)
    if ('fault' in parsed) {
      faults.push(`${found.label} ${parsed.fault}.`)
      return { key: field.key, field, text: 'wrong', source: found.source }
    }
    values[field.key] = parsed.value
    return { key: field.key, field, text: field.kind.show(parsed.value), source: found.source }
  })

  function textOf(key: SettingKey): Text | undefined {
    const field: Field = FIELDS[key]
    const own = ownText(key, sources, variables)
    if (own !== undefined) return own
    if (contract.name !== 'native') {
      const answer = readOlder(key, contract.name, variables)
      faults.push(...answer.faults)
      notes.push(...answer.notes)
      if (answer.value !== undefined) {
        const names = answer.value.names.join(', ')
        return { text: answer.value.text, label: names, source: `${answer.value.source} ${names}`.trim() }
      }
    }
    const text = defaultText(field, contract.name)
    return text === undefined ? undefined : { text, label: field.env, source: 'default' }
  }

  if (faults.length > 0) return { contract: contract.name, settings, faults, notes, config: undefined }
  const checked = values as SettingValues
  const rest = restOf(checked)
  faults.push(...missing(checked, rest, older, sources))
  notes.push(...warnings(checked))
  const tlsCa = readPem(checked.tlsCa, sources.cwd, faults)
  const config =
    faults.length > 0 ? undefined : buildConfig({ values: checked, rest, tlsCa, tty: sources.tty ?? false })
  return { contract: contract.name, settings, faults, notes, config }
}

/** The text of a setting, how faults call it, and where it stood. */
interface Text {
  readonly text: string
  readonly label: string
  readonly source: string
}

function ownText(key: SettingKey, sources: ConfigSources, variables: Variables): Text | undefined {
  const field: Field = FIELDS[key]
  const flag = sources.flags?.[key]
  const flagName = field.flag.split(' ')[0] ?? ''
  if (flag !== undefined) return { text: flag, label: flagName, source: `flag ${flagName}` }
  const found = variables.get(field.env)
  return found && { text: found.text, label: field.env, source: `${found.source} ${field.env}` }
}

/** Environment over `.env` over `env.dev`; the last only where bitrix24-bridge read it too. */
function readVariables(sources: ConfigSources, faults: string[]): Variables {
  const variables = new Map<string, Found>()
  const add = (values: Environment, source: string): void => {
    for (const [name, text] of Object.entries(values))
      if (text !== undefined && text.trim() !== '' && !variables.has(name))
        variables.set(name, { text, source })
  }
  add(sources.env, 'environment')
  const file = readText(resolve(sources.cwd, sources.envFile ?? '.env'))
  if (file !== undefined) add(parseEnv(file), sources.envFile ?? '.env')
  else if (sources.envFile !== undefined)
    faults.push(`The file ${sources.envFile} cannot be read; check the name given with --env-file.`)

  const client = (known: Variables): Variables => (sources.side === 'client' ? clientVariables(known) : known)
  const debug = FIELDS.strictOrder.kind.parse(variables.get('DEBUG')?.text ?? 'true')
  const development = readText(resolve(sources.cwd, 'env.dev'))
  if (development !== undefined && 'value' in debug && debug.value) {
    const before = new Map(variables)
    add(parseEnv(development), 'env.dev')
    if (!olderPrograms(variables).has('bitrix24-bridge')) return client(before)
  }
  return client(variables)
}

/** Names that begin with `BRIDGE_` and are no setting. Kubernetes' own variables for a service called bridge are left alone. */
function unknownNames(variables: Variables): string[] {
  const known: readonly string[] = SETTINGS.map((field) => field.env)
  const service = variables.has('BRIDGE_SERVICE_HOST')
  return [...variables.entries()]
    .filter(([name]) => name.startsWith('BRIDGE_') && !known.includes(name))
    .filter(([name]) => !(service && /^BRIDGE_(SERVICE_(HOST|PORT)|PORT($|_\d))/.test(name)))
    .map(([name, { source }]) => {
      const meant = nearest(name, known)
      const advice = meant === undefined ? 'remove it' : `did you mean ${meant}?`
      return `${name} (${source}) is not a setting; ${advice}${meant === undefined ? '.' : ''}`
    })
}

/** What is said, or else what the variables of the older programs give away, or else native. */
function chooseContract(
  sources: ConfigSources,
  variables: Variables,
  faults: string[],
): Text & { readonly name: ContractName } {
  const said = ownText('contract', sources, variables)
  if (said !== undefined) {
    const parsed = FIELDS.contract.kind.parse(said.text)
    return { ...said, name: 'value' in parsed ? parsed.value : 'native' }
  }
  const programs = olderPrograms(variables)
  const [first, second] = programs.keys()
  const names = first === undefined ? [] : (programs.get(first) ?? [])
  if (first !== undefined && second !== undefined)
    faults.push(
      `Variables of two older programs are set (${names[0]} of ${first}, ${programs.get(second)?.[0]} of ${second}); say with BRIDGE_CONTRACT which one counts.`,
    )
  if (first === undefined)
    return { name: 'native', text: 'native', label: 'BRIDGE_CONTRACT', source: 'default' }
  return { name: first, text: first, label: 'BRIDGE_CONTRACT', source: `because ${names[0]} is set` }
}

/** Where the messages of rabbitmq-to-bitrix24 are sent: the given address, or that of the default portal. */
function restOf(values: SettingValues): RestRoot | undefined {
  if (values.rest !== undefined) return values.rest
  const { portal } = values
  return portal && { origin: portal.origin, domain: portal.domain, root: portal.root }
}

/** Faults that only show when the settings are seen together. */
function missing(
  values: SettingValues,
  rest: RestRoot | undefined,
  older: boolean,
  sources: ConfigSources,
): string[] {
  const faults: string[] = []
  const contract = values.contract ?? 'native'
  if (contract === 'rabbitmq-to-bitrix24' && rest === undefined)
    faults.push(
      'B24REST is not set; give it the REST address of the portal, such as https://example.bitrix24.com/rest/.',
    )
  if (contract === 'rabbitmq-to-bitrix24' && older && values.broker.kind === 'embedded')
    faults.push(
      'AMPQURL is not set; give it the address of RabbitMQ, such as amqp://user:password@host:5672/.',
    )
  if (contract !== 'rabbitmq-to-bitrix24' && sources.needs?.includes('portal') && values.portal === undefined)
    faults.push(
      'BRIDGE_PORTAL is not set; give it the URL of an incoming webhook (Bitrix24: Developer resources → Inbound webhook), or try `b24-bridge sandbox`.',
    )
  if (contract !== 'rabbitmq-to-bitrix24' && values.commandQueue === values.replyQueue)
    faults.push(
      `BRIDGE_COMMAND_QUEUE and BRIDGE_REPLY_QUEUE are both "${values.commandQueue}"; replies need a name of their own.`,
    )
  return faults
}

function warnings(values: SettingValues): string[] {
  const outside = !['127.0.0.1', 'localhost', '::1'].includes(values.http.host)
  const plain =
    values.portal?.origin.startsWith('http:') && !/^(localhost|127\.|\[::1\])/.test(values.portal.domain)
  return [
    ...(outside && values.adminToken === undefined
      ? [
          'The HTTP server listens beyond this machine and BRIDGE_ADMIN_TOKEN is not set; the administration stays closed.',
        ]
      : []),
    ...((values.adminToken?.length ?? 16) < 16
      ? ['BRIDGE_ADMIN_TOKEN is short enough to be guessed; make one with `openssl rand -hex 24`.']
      : []),
    ...(plain
      ? ['BRIDGE_PORTAL begins with http://, so the webhook travels unencrypted; use https://.']
      : []),
  ]
}

function readPem(file: string | undefined, cwd: string, faults: string[]): CertificateAuthority | undefined {
  if (file === undefined) return undefined
  const path = resolve(cwd, file)
  const pem = readText(path)
  if (pem?.includes('-----BEGIN CERTIFICATE-----')) return { file: path, pem }
  faults.push(
    pem === undefined
      ? `BRIDGE_TLS_CA names ${file}, which cannot be read; check the path.`
      : `BRIDGE_TLS_CA names ${file}, which holds no PEM certificate; give the file of the certificate authority.`,
  )
  return undefined
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
