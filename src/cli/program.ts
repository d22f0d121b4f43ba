import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { nearest } from '../config/nearest.ts'
import { clientOf, readingOnly } from './client.ts'
import { appsCommand } from './commands/apps.ts'
import { callCommand } from './commands/call.ts'
import { configCommand } from './commands/config.ts'
import { deadCommand } from './commands/dead.ts'
import { demoCommand } from './commands/demo.ts'
import { doctorCommand } from './commands/doctor.ts'
import { eventsCommand } from './commands/events.ts'
import { listCommand } from './commands/list.ts'
import { portalsCommand } from './commands/portals.ts'
import { runCommand } from './commands/run.ts'
import { sandboxCommand } from './commands/sandbox.ts'
import { secretsCommand } from './commands/secrets.ts'
import { sendCommand } from './commands/send.ts'
import { setupCommand } from './commands/setup.ts'
import { topologyCommand } from './commands/topology.ts'
import { EXIT_MEANINGS } from './exit-codes.ts'
import type { CliIo } from './io.ts'
import { addSettingFlags, configOf } from './settings.ts'

const EXAMPLES = `
Examples:
  b24-bridge demo                                      the bridge at work, nothing needed
  b24-bridge sandbox                                   a portal to try things on
  b24-bridge call crm.deal.get id=7                    one call, straight to the portal
  b24-bridge list crm.deal.list --out deals.csv        every row of a list
  b24-bridge doctor                                    is everything in place?
  b24-bridge run                                       the service

Exit codes:
${EXIT_MEANINGS.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`).join('\n')}`

/** The whole command line, ready to parse; every command throws instead of ending the process. */
export function createProgram(io: CliIo): Command {
  const program = new Command('b24-bridge')
    .description('A durable road between message queues and Bitrix24.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .addHelpText('after', EXAMPLES)
    .showSuggestionAfterError()
  const commands = [
    runCommand(io),
    setupCommand(io),
    doctorCommand(io),
    sendCommand(io),
    callCommand(io),
    listWithSettings(io),
    configCommand(io),
    topologyCommand(io),
    portalsCommand(io),
    appsCommand(io),
    eventsCommand(io),
    secretsCommand(io),
    deadCommand(io),
    sandboxCommand(io),
    demoCommand(io),
  ]
  for (const command of commands) program.addCommand(command)
  adopt(program, io)
  return program
}

/** `list` knows nothing of settings; it is given the portal that they name. */
function listWithSettings(io: CliIo): Command {
  const list = listCommand(io, { openClient: async () => readingOnly(clientOf(configOf(list, io))) })
  return addSettingFlags(list)
}

/** What every command has in common, given to all of them. */
function adopt(command: Command, io: CliIo): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => void io.stdout.write(text),
    writeErr: (text) => void io.stderr.write(text),
    // Errors are reported in one place, with everything else that can go wrong.
    outputError: () => {},
    getOutHelpWidth: () => io.stdout.columns ?? 100,
    getErrHelpWidth: () => io.stdout.columns ?? 100,
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  })
  command.helpOption('-h, --help', 'show this help')
  const isLeaf = command.commands.length === 0 && command.parent !== null
  if (isLeaf && !command.options.some((option) => option.long === '--json'))
    command.option('--json', 'log lines and errors as JSON')
  if (command.commands.length > 0) {
    command.helpCommand('help [command]', 'show the help of a command')
    if (command.parent !== null) command.allowExcessArguments().action(() => refuse(command))
  }
  for (const child of command.commands) adopt(child, io)
}

/** A group was called without one of its commands. */
function refuse(group: Command): never {
  const [word] = group.args
  const names = group.commands.map((command) => command.name())
  const meant = word === undefined ? undefined : nearest(word, names)
  const advice = meant === undefined ? `one of ${names.join(', ')}` : `did you mean ${meant}?`
  throw new CommanderError(
    2,
    'commander.unknownCommand',
    word === undefined
      ? `${path(group)} needs a command: ${advice}`
      : `unknown command '${word}' of ${path(group)}; ${advice}`,
  )
}

function path(command: Command): string {
  return command.parent === null ? command.name() : `${path(command.parent)} ${command.name()}`
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
