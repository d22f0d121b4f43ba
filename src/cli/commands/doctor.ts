import { Command } from 'commander'
import { readSettings } from '../../config/read.ts'
import { exitCodeFor, type Finding, findingLine } from '../doctor/finding.ts'
import { checkNode, checkSettings, checkStore } from '../doctor/here.ts'
import { checkPortal } from '../doctor/portal.ts'
import type { CliIo } from '../io.ts'
import { printJson, printLines } from '../report.ts'
import { addSettingFlags, sourcesOf } from '../settings.ts'

const EXAMPLES = `
Examples:
  b24-bridge doctor
  b24-bridge doctor --json
  b24-bridge doctor --broker amqp://user:password@mq/ --portal https://example.bitrix24.com/rest/1/abc123def456/`

/**
 * `b24-bridge doctor`: looks at settings, broker, store, portal, rights, clock and limits, one line each. Changes
 * nothing. The exit code is 0 when nothing failed; warnings do not count.
 */
export function doctorCommand(io: CliIo): Command {
  const command = new Command('doctor')
    .description('Check settings, broker, store, portal, rights, clock and limits')
    .option('--json', 'as one line of JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: { readonly json?: boolean }) => {
      const reading = readSettings(sourcesOf(command, io))
      const findings: Finding[] = []
      const tell = (found: readonly Finding[]): void => {
        findings.push(...found)
        if (flags.json !== true) printLines(io, found.map(findingLine))
      }
      tell(checkSettings(reading))
      tell([checkNode(process.version)])
      const { config } = reading
      if (config !== undefined) {
        tell([await checkStore(config, io.cwd)])
        const { checkBroker } = await import('../doctor/broker.ts')
        tell(await checkBroker(config, io.cwd, io.signal))
        tell(await checkPortal(config, Date.now))
      }
      const code = exitCodeFor(findings)
      io.exit(code)
      if (flags.json === true)
        printJson(io, { ok: code === 0, findings: findings.map(({ exitCode, ...rest }) => rest) })
    })
  return addSettingFlags(command)
}
