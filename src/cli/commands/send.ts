import { randomUUID } from 'node:crypto'
import { Command, Option } from 'commander'
import { parseKeyValues, parseParams } from '../arguments.ts'
import { commandAddress, commandMessage, listenForReplies, type OutgoingCommand } from '../exchange.ts'
import type { CliIo } from '../io.ts'
import { openToolBroker } from '../parts.ts'
import { readReply } from '../reply.ts'
import { printJson, printLines } from '../report.ts'
import { addSettingFlags, configOf } from '../settings.ts'
import { seconds } from './numbers.ts'

const EXAMPLES = `
Examples:
  b24-bridge send crm.deal.get id=7
  b24-bridge send crm.deal.list --action list filter[STAGE_ID]=NEW --json
  b24-bridge send crm.deal.add 'fields[TITLE]=Once' --id order-4711 --timeout 60
  b24-bridge send crm.lead.add 'fields[TITLE]=Later' --no-wait`

interface SendFlags {
  readonly action?: 'call' | 'list' | 'batch'
  readonly params?: string
  readonly id?: string
  readonly timeout: number
  readonly wait: boolean
  readonly json?: boolean
}

/**
 * `b24-bridge send METHOD [key=value…]`: one command through the queue, and the wait for its reply, as a program of
 * yours would do it. The exit code tells how the command ended.
 */
export function sendCommand(io: CliIo): Command {
  const command = addSettingFlags(
    new Command('send')
      .description('Put a command on the queue and wait for its reply')
      .argument('<method>', 'REST method, such as crm.deal.get')
      .argument('[parameters...]', 'key=value, fields[TITLE]=x, select[]=ID, or key:=JSON')
      .option('--params <json>', 'parameters as a JSON object; key=value is laid over it')
      .addOption(new Option('--action <action>', 'what to do').choices(['call', 'list', 'batch']))
      .option('--id <id>', 'message id; a command with the same id gets the same reply')
      .option('--timeout <seconds>', 'how long to wait for the reply', seconds, 30)
      .option('--no-wait', 'do not wait for the reply')
      .option('--json', 'the whole reply in one line')
      .addHelpText('after', EXAMPLES),
  ).action(async (method: string, parameters: string[], flags: SendFlags) => {
    const params = parseKeyValues(parameters, flags.params === undefined ? {} : parseParams(flags.params))
    const id = flags.id ?? randomUUID()
    await send({ id, method, params, ...(flags.action !== undefined && { action: flags.action }) }, flags)
  })

  async function send(outgoing: OutgoingCommand, flags: SendFlags): Promise<void> {
    const config = configOf(command, io, { side: 'client' })
    const message = commandMessage(config, outgoing)
    const { broker, close } = await openToolBroker(config, { signal: io.signal })
    try {
      if (!flags.wait) {
        await broker.publish(commandAddress(config), message)
        if (flags.json === true) printJson(io, { id: outgoing.id })
        else printLines(io, [`The command ${outgoing.id} is in the queue.`])
        return
      }
      const timeoutMs = flags.timeout * 1000
      const listener = await listenForReplies(config, broker, outgoing.id)
      try {
        const answer = listener.wait(outgoing.id, timeoutMs, io.signal)
        // Its failure is met below; a failed publication must not leave it unheard.
        answer.catch(() => {})
        await broker.publish(commandAddress(config), { ...message, replyTo: listener.replyTo })
        const { body, result, error } = readReply(config.contract.name, await answer)
        if (flags.json === true) printJson(io, body)
        else if (error === undefined) io.stdout.write(`${JSON.stringify(result, null, 2)}\n`)
        if (error !== undefined) throw error
      } finally {
        await listener.close()
      }
    } finally {
      await close()
    }
  }
  return command
}
