import { Command } from 'commander'
import { CommandError } from '../../model/errors.ts'
import { exitCodeFor, findingLine } from '../doctor/finding.ts'
import type { CliIo } from '../io.ts'
import { printJson, printLines } from '../report.ts'
import { addSettingFlags, configOf } from '../settings.ts'
import { withVault } from '../vault.ts'

interface Flags {
  readonly app?: string
  readonly user?: string
  readonly json?: boolean
}

/** `b24-bridge portals refresh`: renews the tokens of a portal now, under the same rules as a running bridge. */
export function refreshCommand(io: CliIo): Command {
  const command = new Command('refresh')
    .description('Renew the tokens of a portal now; the bridge does it by itself when it is needed')
    .argument('<portal>', 'member id, domain or alias')
    .option('--app <client-id>', 'only those of this application')
    .option('--user <id>', 'only those of this user')
    .option('--json', 'as one line of JSON')
    .action(async (name: string, flags: Flags) => {
      const config = configOf(command, io)
      const { findEntry } = await import('../portals/known.ts')
      const { renewTokens } = await import('../portals/renew.ts')
      await withVault(config, async (vault) => {
        const { domain, tokens } = await findEntry(vault.db, name)
        const chosen = tokens.filter(
          ({ clientId, userId }) => (flags.app ?? clientId) === clientId && (flags.user ?? userId) === userId,
        )
        if (chosen.length === 0)
          throw new CommandError('TOKENS_MISSING', `There are no such tokens for ${domain}.`, {
            hint: '`b24-bridge portals show` lists them. A webhook needs no renewal.',
          })
        const findings = await renewTokens({ config, cwd: io.cwd }, vault, chosen)
        const code = exitCodeFor(findings)
        io.exit(code)
        if (flags.json === true)
          printJson(io, { ok: code === 0, domain, findings: findings.map(({ exitCode, ...rest }) => rest) })
        else printLines(io, findings.map(findingLine))
      })
    })
  return addSettingFlags(command)
}
