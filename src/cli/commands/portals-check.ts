import { Command } from 'commander'
import { exitCodeFor, findingLine } from '../doctor/finding.ts'
import { stopIfInterrupted } from '../interrupted.ts'
import type { CliIo } from '../io.ts'
import type { CheckedPortal } from '../portals/check.ts'
import { printJson, printLines } from '../report.ts'
import { addSettingFlags, configOf } from '../settings.ts'
import { withVault } from '../vault.ts'

/** Portals that are asked at once. */
const AT_ONCE = 8

/** `b24-bridge portals check`: one call in each way that is known. The exit code is 0 when nothing failed. */
export function checkCommand(io: CliIo): Command {
  const command = new Command('check')
    .description('Call portals in every way that is known: rights, scope, clock, tokens')
    .argument('[portals...]', 'member ids, domains or aliases; all without')
    .option('--json', 'as one line of JSON')
    .action(async (names: string[], flags: { readonly json?: boolean }) => {
      const config = configOf(command, io)
      const { checkEntry } = await import('../portals/check.ts')
      const { chosenPortals } = await import('../portals/known.ts')
      const checked: CheckedPortal[] = []
      const tell = async (some: readonly Promise<CheckedPortal>[]): Promise<void> => {
        for (const one of await Promise.all(some)) {
          checked.push(one)
          if (flags.json !== true) printLines(io, lines(one))
        }
      }
      await withVault(config, async (vault) => {
        const running: Promise<CheckedPortal>[] = []
        for await (const entry of chosenPortals(vault.db, names)) {
          stopIfInterrupted(io, 'Nothing was changed.')
          running.push(checkEntry(config, vault, entry))
          if (running.length === AT_ONCE) await tell(running.splice(0))
        }
        await tell(running)
      })
      const code = exitCodeFor(checked.flatMap(({ findings }) => findings))
      io.exit(code)
      if (flags.json === true) printJson(io, { ok: code === 0, portals: checked.map(json) })
      else if (checked.length === 0) printLines(io, ['No portal is known yet.'])
    })
  return addSettingFlags(command)
}

function lines({ domain, findings }: CheckedPortal): string[] {
  return [domain, ...findings.map((finding) => `  ${findingLine(finding)}`)]
}

function json({ findings, ...portal }: CheckedPortal): unknown {
  return { ...portal, findings: findings.map(({ exitCode, ...rest }) => rest) }
}
