import { Command } from 'commander'
import type { Json } from '../../model/json.ts'
import { isReadMethod } from '../../model/methods.ts'
import { parseKeyValues, parseParams } from '../arguments.ts'
import { asRead, clientOf } from '../client.ts'
import type { CliIo } from '../io.ts'
import { printJson } from '../report.ts'
import { addSettingFlags, configOf } from '../settings.ts'
import { seconds } from './numbers.ts'

const EXAMPLES = `
Examples:
  b24-bridge call profile
  b24-bridge call crm.deal.get id=7
  b24-bridge call crm.deal.add 'fields[TITLE]=From the shell' fields[OPPORTUNITY]:=1500
  b24-bridge call crm.deal.list --params '{"filter":{">ID":5},"select":["ID","TITLE"]}' --json`

/**
 * `b24-bridge call METHOD [key=value…]`: one call, straight to the portal. Prints the result as JSON; with `--json` the
 * portal's whole answer in one line, also when it refuses.
 */
export function callCommand(io: CliIo): Command {
  const command = new Command('call')
    .description('Call one method of the portal and print its result')
    .argument('<method>', 'REST method, such as crm.deal.get')
    .argument('[parameters...]', 'key=value, fields[TITLE]=x, select[]=ID, or key:=JSON')
    .option('--params <json>', 'parameters as a JSON object; key=value is laid over it')
    .option('--wait <seconds>', 'how long to try to reach a portal that is down', seconds, 0)
    .option('--json', "the portal's whole answer in one line")
    .addHelpText('after', EXAMPLES)
    .action(async (method: string, parameters: string[], flags: CallFlags) => {
      const params = parseKeyValues(parameters, flags.params === undefined ? {} : parseParams(flags.params))
      const client = clientOf(configOf(command, io), { portalWaitMs: flags.wait * 1000 })
      try {
        const { answer, error } = await client.send(method, params, { signal: io.signal })
        if (answer !== undefined && flags.json === true) printJson(io, answer.body)
        if (error !== undefined) throw isReadMethod(method) ? asRead(error) : error
        if (flags.json !== true) print(io, answer?.body.result ?? null)
      } finally {
        await client.close()
      }
    })
  return addSettingFlags(command)
}

interface CallFlags {
  readonly params?: string
  readonly wait: number
  readonly json?: boolean
}

function print(io: CliIo, result: Json): void {
  io.stdout.write(`${JSON.stringify(result, null, 2)}\n`)
}
