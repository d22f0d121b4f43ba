import { Command } from 'commander'
import type { CliIo } from '../io.ts'
import { printJson, printLines } from '../report.ts'
import { addSettingFlags, configOf } from '../settings.ts'
import { withVault } from '../vault.ts'

/** `b24-bridge events url`: the address that a portal is given; its key is a secret, so only who asks sees it. */
export function urlCommand(io: CliIo): Command {
  const command = new Command('url')
    .description("Print the address of a portal's handler with its key, for what is bound by hand")
    .argument('<portal>', 'member id, domain or alias')
    .option('--json', 'as one line of JSON')
    .action(async (name: string, flags: { readonly json?: boolean }) => {
      const config = configOf(command, io)
      const { handlerUrl } = await import('../../bridge/events/handler-url.ts')
      const { findEntry } = await import('../portals/known.ts')
      const { baseOf, memberIdMissing } = await import('../subscriptions/apply.ts')
      await withVault(config, async ({ db, secrets }) => {
        const { domain, portal } = await findEntry(db, name)
        if (portal === undefined) throw memberIdMissing(domain)
        const url = handlerUrl(baseOf(config), portal.memberId, secrets.fingerprint)
        if (flags.json === true) printJson(io, { domain, memberId: portal.memberId, url })
        else printLines(io, [url])
      })
    })
  return addSettingFlags(command)
}
