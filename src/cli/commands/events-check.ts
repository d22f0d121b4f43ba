import { Command } from 'commander'
import { exitCodeFor, findingLine } from '../doctor/finding.ts'
import type { CliIo } from '../io.ts'
import { printJson, printLines } from '../report.ts'
import { addSettingFlags, configOf } from '../settings.ts'
import { withVault } from '../vault.ts'

/** `b24-bridge events check`: can portals reach us, and do they have what was applied? The exit code is 0 when nothing failed. */
export function checkCommand(io: CliIo): Command {
  const command = new Command('check')
    .description('Look whether the handler can be reached and portals have what was applied to them')
    .argument('[portals...]', 'member ids, domains or aliases; all without')
    .option('--app <client-id>', 'the application; the only one unless given')
    .option('--json', 'as one line of JSON')
    .action(async (names: string[], flags: { readonly app?: string; readonly json?: boolean }) => {
      const config = configOf(command, io)
      const { checkSubscriptions } = await import('../subscriptions/check.ts')
      const { here, portals } = await withVault(config, (vault) =>
        checkSubscriptions({ config, cwd: io.cwd }, vault, { names, app: flags.app }),
      )
      const all = [...here, ...portals.flatMap(({ findings }) => findings)]
      const code = exitCodeFor(all)
      io.exit(code)
      const plain = (findings: typeof here) => findings.map(({ exitCode, ...rest }) => rest)
      if (flags.json === true)
        printJson(io, {
          ok: code === 0,
          here: plain(here),
          portals: portals.map(({ findings, ...portal }) => ({ ...portal, findings: plain(findings) })),
        })
      else
        printLines(io, [
          ...here.map(findingLine),
          ...portals.flatMap(({ domain, findings }) => [
            domain,
            ...findings.map((finding) => `  ${findingLine(finding)}`),
          ]),
        ])
    })
  return addSettingFlags(command)
}
