import { Command } from 'commander'
import type { CliIo } from '../io.ts'
import { applyCommand } from './events-apply.ts'
import { checkCommand } from './events-check.ts'
import { errorsCommand, releaseCommand } from './events-errors.ts'
import { listCommand } from './events-list.ts'
import { urlCommand } from './events-url.ts'

const EXAMPLES = `
Examples:
  b24-bridge events apply subscriptions.yaml --dry-run
  b24-bridge events apply subscriptions.yaml
  b24-bridge events list
  b24-bridge events check example.bitrix24.com
  b24-bridge events url example.bitrix24.com
  b24-bridge events errors
  b24-bridge events release example.bitrix24.com`

/** `b24-bridge events …`: what is bound on portals, as a file says it. */
export function eventsCommand(io: CliIo): Command {
  return new Command('events')
    .description('Bind events, robots, placements and the like on portals; see and release hidden events')
    .addHelpText('after', EXAMPLES)
    .addCommand(applyCommand(io))
    .addCommand(listCommand(io))
    .addCommand(checkCommand(io))
    .addCommand(urlCommand(io))
    .addCommand(errorsCommand(io))
    .addCommand(releaseCommand(io))
}
