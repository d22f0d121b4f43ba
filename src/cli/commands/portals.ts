import { Command } from 'commander'
import { confirm } from '../confirm.ts'
import type { CliIo } from '../io.ts'
import type { PortalEntry } from '../portals/known.ts'
import { listLines, portalJson, showLines } from '../portals/view.ts'
import { printJson, printLines } from '../report.ts'
import { addSettingFlags, configOf } from '../settings.ts'
import { withVault } from '../vault.ts'
import { addCommand } from './portals-add.ts'
import { checkCommand } from './portals-check.ts'
import { importCommand } from './portals-import.ts'
import { refreshCommand } from './portals-refresh.ts'

const EXAMPLES = `
Examples:
  b24-bridge portals add --webhook-file webhook.txt
  b24-bridge portals list
  b24-bridge portals show example.bitrix24.com
  b24-bridge portals check
  b24-bridge portals remove example.bitrix24.com
  b24-bridge portals import --from simple-api --url env:OLD_DB --dry-run`

interface Flags {
  readonly json?: boolean
  readonly yes?: boolean
}

/** `b24-bridge portals …`: the portals of the store, and the ways to call them. */
export function portalsCommand(io: CliIo): Command {
  return new Command('portals')
    .description('Add, look at, check and remove portals')
    .addHelpText('after', EXAMPLES)
    .addCommand(addCommand(io))
    .addCommand(listCommand(io))
    .addCommand(showCommand(io))
    .addCommand(checkCommand(io))
    .addCommand(refreshCommand(io))
    .addCommand(removeCommand(io))
    .addCommand(importCommand(io))
}

function listCommand(io: CliIo): Command {
  const command = new Command('list')
    .description('Show every portal with its state, the ways to call it and the age of its tokens')
    .option('--json', 'as one line of JSON')
    .action(async (flags: Flags) => {
      const config = configOf(command, io)
      const { eachPortal } = await import('../portals/known.ts')
      const entries = await withVault(config, async ({ db }) => {
        const all: PortalEntry[] = []
        for await (const entry of eachPortal(db)) all.push(entry)
        return all
      })
      if (flags.json === true) printJson(io, { portals: entries.map(portalJson) })
      else printLines(io, listLines(entries, Date.now()))
    })
  return addSettingFlags(command)
}

function showCommand(io: CliIo): Command {
  const command = new Command('show')
    .description('Show everything that is known of one portal; secrets only as set or not set')
    .argument('<portal>', 'member id, domain or alias')
    .option('--json', 'as one line of JSON')
    .action(async (name: string, flags: Flags) => {
      const config = configOf(command, io)
      const { findEntry } = await import('../portals/known.ts')
      const { listApplicationTokens } = await import('../../stores/queries/application-tokens.ts')
      const { entry, labels } = await withVault(config, async ({ db }) => {
        const entry = await findEntry(db, name)
        const { portal } = entry
        const tokens = portal === undefined ? [] : await listApplicationTokens(db, portal.memberId)
        return { entry, labels: tokens.map(({ label }) => label) }
      })
      if (flags.json === true) printJson(io, { ...portalJson(entry), applicationTokens: labels })
      else printLines(io, showLines(entry, labels, Date.now()))
    })
  return addSettingFlags(command)
}

function removeCommand(io: CliIo): Command {
  const command = new Command('remove')
    .description('Forget a portal with its tokens and webhooks; asks first')
    .argument('<portal>', 'member id, domain or alias')
    .option('--yes', 'remove without asking')
    .option('--json', 'as one line of JSON')
    .action(async (name: string, flags: Flags) => {
      const config = configOf(command, io)
      const { findEntry, removeEntry } = await import('../portals/known.ts')
      await withVault(config, async ({ db }) => {
        const entry = await findEntry(db, name)
        const { domain, portal, tokens, webhooks } = entry
        const what = `${counted(tokens.length, 'token pair')} and ${counted(webhooks.length, 'webhook')}`
        if (flags.yes !== true) await confirm(io, `Forget ${domain} with ${what}?`)
        await removeEntry(db, entry)
        const counts = { tokens: tokens.length, webhooks: webhooks.length }
        if (flags.json === true)
          printJson(io, { removed: domain, memberId: portal?.memberId ?? null, ...counts })
        else
          printLines(io, [
            `removed: ${domain}, with ${what}`,
            'Remove the application or the webhook on the portal too, or they stay valid there.',
          ])
      })
    })
  return addSettingFlags(command)
}

function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`
}
