import { Command } from 'commander'
import type { CliIo } from '../io.ts'
import { openToolBroker, openToolStore, topologyOf } from '../parts.ts'
import { printJson, printLines } from '../report.ts'
import { addSettingFlags, configOf } from '../settings.ts'

const EXAMPLES = `
Examples:
  b24-bridge setup
  BRIDGE_BROKER=amqp://user:password@mq/ b24-bridge setup --json`

/** `b24-bridge setup`: creates the store and declares queues, exchanges and bindings. Twice is harmless. */
export function setupCommand(io: CliIo): Command {
  const command = new Command('setup')
    .description('Create the store and declare the queues; harmless when they exist')
    .option('--json', 'as one line of JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: { readonly json?: boolean }) => {
      const config = configOf(command, io)
      const store = await openToolStore(config)
      const label = store.label
      await store.close()
      const { broker, close } = await openToolBroker(config, { signal: io.signal })
      try {
        const topology = { ...(await topologyOf(config, broker)), mode: 'declare' as const }
        await broker.declare(topology)
        const queues = topology.queues.map((queue) => queue.name)
        const exchanges = topology.exchanges.map((exchange) => exchange.name)
        if (flags.json === true) printJson(io, { store: label, queues, exchanges })
        else
          printLines(io, [
            `store ready: ${label}`,
            ...exchanges.map((name) => `exchange ready: ${name}`),
            ...queues.map((name) => `queue ready: ${name}`),
          ])
      } finally {
        await close()
      }
    })
  return addSettingFlags(command)
}
