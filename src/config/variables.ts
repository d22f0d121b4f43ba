import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { FIELDS, SETTINGS } from './fields.ts'
import { nearest } from './nearest.ts'
import { clientVariables, type Found, olderPrograms, type Variables } from './older.ts'

/** Variables by name, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Where variables come from. */
export interface VariableSources {
  readonly env: Environment
  /** Folder in which `.env` is looked for and from which file names count. */
  readonly cwd: string
  /** A file to read instead of `.env`; it must exist. */
  readonly envFile?: string
  /** `client` also reads the `BB_RABBITMQ_*` variables of the Django client, for sending commands. */
  readonly side?: 'service' | 'client'
}

/**
 * Environment over credentials of systemd over `.env` over `env.dev`; the last only where bitrix24-bridge read it too.
 * `NAME_FILE` gives a setting the text of a file.
 */
export function readVariables(sources: VariableSources, faults: string[]): Variables {
  const variables = new Map<string, Found>()
  const add = (values: Environment, source: string): void => {
    for (const [name, found] of [...setOf(values, source), ...pointed(values, source, sources.cwd, faults)])
      if (!variables.has(name)) variables.set(name, found)
  }
  add(sources.env, 'environment')
  for (const [name, found] of credentials(sources.env.CREDENTIALS_DIRECTORY))
    if (!variables.has(name)) variables.set(name, found)
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
export function unknownNames(variables: Variables): string[] {
  const known: readonly string[] = SETTINGS.map((field) => field.env)
  const service = variables.has('BRIDGE_SERVICE_HOST')
  return [...variables.entries()]
    .filter(([name]) => name.startsWith('BRIDGE_') && !known.includes(name.replace(/_FILE$/, '')))
    .filter(([name]) => !(service && /^BRIDGE_(SERVICE_(HOST|PORT)|PORT($|_\d))/.test(name)))
    .map(([name, { source }]) => {
      const meant = nearest(name, known)
      const advice = meant === undefined ? 'remove it' : `did you mean ${meant}?`
      return `${name} (${source}) is not a setting; ${advice}${meant === undefined ? '.' : ''}`
    })
}

function setOf(values: Environment, source: string): [string, Found][] {
  return Object.entries(values).flatMap(([name, text]) =>
    text === undefined || text.trim() === '' ? [] : [[name, { text, source }]],
  )
}

/** Settings whose text stands in a file that `NAME_FILE` names, as secrets of containers are handed over. */
function pointed(values: Environment, source: string, cwd: string, faults: string[]): [string, Found][] {
  return SETTINGS.flatMap(({ env }): [string, Found][] => {
    const file = values[`${env}_FILE`]?.trim() ?? ''
    if (file === '') return []
    if ((values[env]?.trim() ?? '') !== '') {
      faults.push(`${env} and ${env}_FILE (${source}) are both set; remove one of them.`)
      return []
    }
    const text = readText(resolve(cwd, file))?.trim()
    if (text === undefined || text === '') {
      const why = text === undefined ? 'cannot be read; check the path and its rights' : 'is empty'
      faults.push(`${env}_FILE (${source}) names ${file}, which ${why}.`)
      return []
    }
    return [[env, { text, source: `file ${file},` }]]
  })
}

/** Settings as files named like them: `LoadCredential=` of systemd. https://systemd.io/CREDENTIALS/ */
function credentials(folder: string | undefined): [string, Found][] {
  if (folder === undefined || folder === '') return []
  return SETTINGS.flatMap(({ env }): [string, Found][] => {
    const text = readText(join(folder, env))?.trim() ?? ''
    return text === '' ? [] : [[env, { text, source: 'credential' }]]
  })
}

/** The text of a file, or `undefined` when it cannot be read. */
export function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
