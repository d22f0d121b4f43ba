import { Command } from 'commander'
import { type Reading, readSettings } from '../../config/read.ts'
import { ConfigError } from '../../model/errors.ts'
import type { CliIo } from '../io.ts'
import { printJson, printLines } from '../report.ts'
import { addSettingFlags, sourcesOf } from '../settings.ts'

const EXAMPLES = `
Examples:
  b24-bridge config print
  b24-bridge config print --json --env-file /etc/b24-bridge.env
  b24-bridge config check`

/** `b24-bridge config print|check`: what the settings are, where each comes from, and what is wrong with them. */
export function configCommand(io: CliIo): Command {
  const print = new Command('print')
    .description('Show every setting and where it comes from; secrets are masked')
    .option('--json', 'as one line of JSON')
    .action(() => {
      const reading = readSettings(sourcesOf(print, io))
      if (print.opts().json === true) printJson(io, asJson(reading))
      else printLines(io, [...table(reading), ...remarks(reading)])
      if (reading.faults.length > 0) throw new ConfigError(reading.faults)
    })
  const check = new Command('check')
    .description('Say whether the service could start with these settings')
    .option('--json', 'as one line of JSON')
    .action(() => {
      const reading = readSettings(sourcesOf(check, io, { needs: ['portal'] }))
      if (reading.faults.length > 0) throw new ConfigError(reading.faults)
      if (check.opts().json === true) printJson(io, { ok: true, notes: reading.notes })
      else printLines(io, [`The settings are good (contract ${reading.contract}).`, ...remarks(reading)])
    })
  return new Command('config')
    .description('Look at the settings')
    .addHelpText('after', EXAMPLES)
    .addCommand(addSettingFlags(print))
    .addCommand(addSettingFlags(check))
}

function table({ settings }: Reading): string[] {
  const width = (pick: (setting: Reading['settings'][number]) => string): number =>
    Math.max(...settings.map((setting) => pick(setting).length))
  const names = width((setting) => setting.field.env)
  const values = Math.min(
    60,
    width((setting) => setting.text),
  )
  return settings.map(({ field, text, source }) =>
    `${field.env.padEnd(names)}  ${text.padEnd(values)}  ${source}`.trimEnd(),
  )
}

function remarks({ notes }: Reading): string[] {
  return notes.map((note) => `warning: ${note}`)
}

function asJson({ contract, settings, faults, notes }: Reading): unknown {
  const entries = settings.map(({ key, field, text, source }) => [key, { env: field.env, text, source }])
  return { contract, settings: Object.fromEntries(entries), faults, notes }
}
