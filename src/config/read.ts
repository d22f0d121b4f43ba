import { ConfigError } from '../model/errors.ts'
import { missing, readPem, restOf, warnings } from './checks.ts'
import { buildConfig, type Config } from './config.ts'
import {
  type ContractName,
  defaultText,
  FIELDS,
  type Field,
  SETTINGS,
  type SettingKey,
  type SettingValues,
} from './fields.ts'
import { firstTokens } from './first-tokens.ts'
import { olderPrograms, readOlder, type Variables } from './older.ts'
import { type Environment, readVariables, unknownNames, type VariableSources } from './variables.ts'

export type { Environment } from './variables.ts'

/** Where settings come from. Nothing else is looked at. */
export interface ConfigSources extends VariableSources {
  /** Texts of flags by the key of the setting; they win over everything. */
  readonly flags?: Partial<Record<SettingKey, string>>
  /** Output goes to a terminal; false unless said otherwise. */
  readonly tty?: boolean
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
 * Every setting with its source, and all faults. A flag wins over `BRIDGE_*` in the environment, that over credentials of
 * systemd, those over the `.env` file, that over the variables of an older program, and those over the default. An empty variable is not set.
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
  const brokerMissing =
    older && settings.some((setting) => setting.key === 'broker' && setting.source === 'default')
  faults.push(...missing(checked, { rest, brokerMissing, needs: sources.needs ?? [] }))
  notes.push(...warnings(checked))
  const tlsCa = readPem(checked.tlsCa, sources.cwd, faults)
  const config =
    faults.length > 0
      ? undefined
      : buildConfig({
          values: checked,
          rest,
          tlsCa,
          firstTokens: contract.name === 'bitrix24-bridge' ? firstTokens(variables) : undefined,
          tty: sources.tty ?? false,
        })
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
