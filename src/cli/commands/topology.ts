import { Command } from 'commander'
import type { Broker, Topology } from '../../brokers/broker.ts'
import { confirm } from '../confirm.ts'
import { EXIT } from '../exit-codes.ts'
import type { CliIo } from '../io.ts'
import { openToolBroker, topologyOf } from '../parts.ts'
import { printJson, printLines } from '../report.ts'
import { addSettingFlags, configOf } from '../settings.ts'

const EXAMPLES = `
Examples:
  b24-bridge topology init
  b24-bridge topology check --json
  b24-bridge topology clear --yes`

interface Flags {
  readonly json?: boolean
  readonly yes?: boolean
}

/** `b24-bridge topology init|check|clear`: the queues and exchanges of the settings. */
export function topologyCommand(io: CliIo): Command {
  const init = verb('init', 'Declare queues, exchanges and bindings; harmless when they exist', declare)
  const check = verb('check', 'Say which queues and exchanges exist', look)
  const clear = verb('clear', 'Delete queues and exchanges with everything in them; asks first', remove)
  clear.option('--yes', 'delete without asking')

  function verb(name: string, about: string, work: Work): Command {
    const command = new Command(name)
      .description(about)
      .option('--json', 'as one line of JSON')
      .action(async (flags: Flags) => {
        const config = configOf(command, io)
        const { broker, close } = await openToolBroker(config, { signal: io.signal })
        try {
          await work(broker, await topologyOf(config, broker), flags, io)
        } finally {
          await close()
        }
      })
    return addSettingFlags(command)
  }

  return new Command('topology')
    .description('Create, check or delete the queues and exchanges')
    .addHelpText('after', EXAMPLES)
    .addCommand(init)
    .addCommand(check)
    .addCommand(clear)
}

type Work = (broker: Broker, topology: Topology, flags: Flags, io: CliIo) => Promise<void>

const declare: Work = async (broker, topology, flags, io) => {
  await broker.declare({ ...topology, mode: 'declare' })
  const { queues, exchanges } = names(topology)
  if (flags.json === true) return printJson(io, { queues, exchanges })
  printLines(io, [
    ...exchanges.map((name) => `exchange ready: ${name}`),
    ...queues.map((name) => `queue ready: ${name}`),
  ])
}

/** Ends with exit code 4 when something is missing. */
const look: Work = async (broker, topology, flags, io) => {
  const queues = await Promise.all(
    names(topology).queues.map(async (name) => ({ name, info: await broker.queueInfo(name) })),
  )
  const exchanges = await Promise.all(
    names(topology).exchanges.map(async (name) => ({ name, exists: await broker.exchangeExists(name) })),
  )
  const whole = queues.every((queue) => queue.info !== undefined) && exchanges.every((one) => one.exists)
  if (!whole) io.exit(EXIT.unreachable)
  if (flags.json === true)
    return printJson(io, {
      ok: whole,
      exchanges,
      queues: queues.map(({ name, info }) => ({ name, exists: info !== undefined, ...info })),
    })
  printLines(io, [
    ...exchanges.map(({ name, exists }) => `${exists ? 'ok' : 'missing'}: exchange ${name}`),
    ...queues.map(({ name, info }) =>
      info === undefined
        ? `missing: queue ${name}`
        : `ok: queue ${name}, ${info.messages} messages, ${info.consumers} consumers`,
    ),
    ...(whole ? [] : ['`b24-bridge topology init` creates what is missing.']),
  ])
}

const remove: Work = async (broker, topology, flags, io) => {
  const { queues, exchanges } = names(topology)
  let messages = 0
  for (const name of queues) messages += (await broker.queueInfo(name))?.messages ?? 0
  const what = [...queues.map((name) => `queue ${name}`), ...exchanges.map((name) => `exchange ${name}`)]
  if (flags.yes !== true) await confirm(io, `Delete ${what.join(', ')}? ${messages} messages are lost.`)
  for (const name of queues) await broker.deleteQueue(name)
  for (const name of exchanges) await broker.deleteExchange(name)
  if (flags.json === true) return printJson(io, { queues, exchanges, messages })
  printLines(io, [...what.map((one) => `deleted: ${one}`), `${messages} messages were in them.`])
}

function names(topology: Topology): { readonly queues: string[]; readonly exchanges: string[] } {
  return {
    queues: topology.queues.map((queue) => queue.name),
    exchanges: topology.exchanges.map((exchange) => exchange.name),
  }
}
