import { type Command, Option } from 'commander'
import type { Config } from '../config/config.ts'
import { optionName, SETTINGS, type SettingKey } from '../config/fields.ts'
import { type ConfigSources, readConfig } from '../config/read.ts'
import type { CliIo } from './io.ts'

/** Settings whose flags stand in the help of a command; the others work too and stand on the reference page. */
const SHOWN: readonly SettingKey[] = ['broker', 'store', 'portal', 'limits']

/** Gives a command `--env-file` and a flag for every setting, leaving alone flags that it has already. */
export function addSettingFlags(command: Command): Command {
  const taken = new Set(command.options.map((option) => option.long))
  const add = (option: Option): void => {
    if (!taken.has(option.long ?? undefined)) command.addOption(option)
  }
  const heading = 'Settings (all of them: docs/settings.md):'
  add(new Option('--env-file <file>', 'read settings from this file instead of .env').helpGroup(heading))
  for (const field of SETTINGS) {
    const option = new Option(field.flag, `${field.about} [${field.env}]`)
    option.helpGroup(heading)
    add(SHOWN.includes(field.key) ? option : option.hideHelp())
  }
  return command
}

/** Where the settings of this call come from: its flags, its environment, its folder. */
export function sourcesOf(
  command: Command,
  io: CliIo,
  more: Pick<ConfigSources, 'side' | 'needs'> = {},
): ConfigSources {
  const options = command.optsWithGlobals<Record<string, unknown>>()
  const flags = Object.fromEntries(
    SETTINGS.map((field) => [field.key, options[optionName(field)]]).filter(
      ([, text]) => typeof text === 'string',
    ),
  ) as Partial<Record<SettingKey, string>>
  const { host, port, envFile, json } = options
  // Of all commands the service alone writes a log instead of a result.
  if (json === true && command.name() === 'run') flags.logFormat ??= 'json'
  // The older program's way to say where to listen: run --host 0.0.0.0 --port 8000.
  if (flags.http === undefined && (typeof host === 'string' || typeof port === 'string'))
    flags.http = `${typeof host === 'string' ? bracket(host) : '127.0.0.1'}:${typeof port === 'string' ? port : '8000'}`
  return {
    env: io.env,
    cwd: io.cwd,
    tty: io.stdout.isTTY === true,
    flags,
    ...(typeof envFile === 'string' && { envFile }),
    ...more,
  }
}

/** The settings of this call; throws a `ConfigError` that lists all faults. */
export function configOf(
  command: Command,
  io: CliIo,
  more: Pick<ConfigSources, 'side' | 'needs'> = {},
): Config {
  return readConfig(sourcesOf(command, io, more))
}

function bracket(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
