import { Command } from 'commander'
import { EXIT } from '../exit-codes.ts'
import type { CliIo } from '../io.ts'
import { printJson, printLines } from '../report.ts'
import { addSettingFlags, configOf } from '../settings.ts'
import { withVault } from '../vault.ts'

/** `b24-bridge events list`: what our application has bound where. */
export function listCommand(io: CliIo): Command {
  const command = new Command('list')
    .description('Show what the application has bound on portals, and which of it is ours')
    .argument('[portals...]', 'member ids, domains or aliases; all without')
    .option('--app <client-id>', 'the application; the only one unless given')
    .option('--json', 'as one line of JSON')
    .action(async (names: string[], flags: { readonly app?: string; readonly json?: boolean }) => {
      const config = configOf(command, io)
      const { listBindings } = await import('../subscriptions/list.ts')
      const { bindingLines, bindingJson, exitCodeOfBindings } = await import('../subscriptions/list-view.ts')
      const lists = await withVault(config, (vault) =>
        listBindings({ config, cwd: io.cwd }, vault, { names, app: flags.app }),
      )
      const code = exitCodeOfBindings(lists)
      io.exit(code)
      if (flags.json === true) printJson(io, { ok: code === EXIT.ok, portals: lists.map(bindingJson) })
      else
        printLines(
          io,
          lists.length === 0 ? ['The application is on no portal yet.'] : lists.flatMap(bindingLines),
        )
    })
  return addSettingFlags(command)
}
