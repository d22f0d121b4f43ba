import { Command } from 'commander'
import { CommandError } from '../../model/errors.ts'
import { EXIT } from '../exit-codes.ts'
import { stopIfInterrupted } from '../interrupted.ts'
import type { CliIo } from '../io.ts'
import { printJson, printLines } from '../report.ts'
import { addSettingFlags, configOf } from '../settings.ts'
import { withVault } from '../vault.ts'

interface Flags {
  readonly dryRun?: boolean
  readonly json?: boolean
}

/** `b24-bridge events apply`: makes portals have what a file says. The exit code is 0 when all of it worked. */
export function applyCommand(io: CliIo): Command {
  const command = new Command('apply')
    .description('Bind what a file says and is missing, unbind what is ours and not in it any more')
    .argument('[file]', 'YAML file; that of BRIDGE_SUBSCRIPTIONS unless given')
    .option('--dry-run', 'only say what would be done')
    .option('--json', 'as one line of JSON')
    .action(async (given: string | undefined, flags: Flags) => {
      const config = configOf(command, io)
      const file = given ?? config.subscriptions
      if (file === undefined)
        throw new CommandError('FILE_MISSING', 'No file of subscriptions is named.', {
          hint: 'Give it behind the command, or set BRIDGE_SUBSCRIPTIONS.',
        })
      const { applyFile } = await import('../subscriptions/apply.ts')
      const { exitCodeOfReports, reportJson, reportLines } = await import('../subscriptions/view.ts')
      const reports = await withVault(config, (vault) =>
        applyFile({ config, cwd: io.cwd, signal: io.signal }, vault, file, {
          dryRun: flags.dryRun === true,
          onReport(report) {
            if (flags.json !== true) printLines(io, reportLines(report))
          },
        }),
      )
      stopIfInterrupted(io, 'What was printed is done; the command can be repeated.')
      const code = exitCodeOfReports(reports)
      io.exit(code)
      if (flags.json === true)
        printJson(io, {
          ok: code === EXIT.ok,
          dryRun: flags.dryRun === true,
          portals: reports.map(reportJson),
        })
      else if (reports.length === 0) printLines(io, ['No portal is meant: the application is on none yet.'])
    })
  return addSettingFlags(command)
}
