import { Command } from 'commander'
import { CommandError } from '../../model/errors.ts'
import type { CliIo } from '../io.ts'
import { printJson, printLines } from '../report.ts'
import { createSecretReader } from '../secret-input.ts'
import { addSettingFlags, configOf } from '../settings.ts'
import { ageText, tableLines } from '../table.ts'
import { withVault } from '../vault.ts'

const EXAMPLES = `
Examples:
  b24-bridge apps add app.573ad8a0346747.09223434 --name "Orders" --secret-file secret.txt
  pass show b24/orders | b24-bridge apps add app.573ad8a0346747.09223434 --secret-file -
  b24-bridge apps list`

interface AddFlags {
  readonly name?: string
  readonly secretFile?: string
  readonly json?: boolean
}

/** `b24-bridge apps add|list`: the applications in whose name portals are called. */
export function appsCommand(io: CliIo): Command {
  return new Command('apps')
    .description('Add applications and look at them')
    .addHelpText('after', EXAMPLES)
    .addCommand(addCommand(io))
    .addCommand(listCommand(io))
}

/** The same application again takes the new secret. */
function addCommand(io: CliIo): Command {
  const command = new Command('add')
    .description('Keep the id and the secret of an application, over an earlier one')
    .argument('<client-id>', 'as the portal or the vendor cabinet shows it')
    .option('--name <text>', 'what people call it; its id otherwise')
    .option('--secret-file <file>', 'file with the client secret, - for a line of stdin, or env:NAME')
    .option('--json', 'as one line of JSON')
    .action(async (clientId: string, flags: AddFlags) => {
      const config = configOf(command, io)
      if (!/^[\w.-]{1,200}$/.test(clientId))
        throw new CommandError('CLIENT_ID_INVALID', 'This is not the id of an application.', {
          hint: 'It looks like app.573ad8a0346747.09223434 or local.5c8bb1b0891cf2.87252039.',
        })
      if (flags.secretFile === undefined)
        throw new CommandError('SECRET_MISSING', 'The client secret is not given.', {
          hint: 'Name its place with --secret-file: a file, - for a line of stdin, or env:NAME for a variable.',
        })
      const clientSecret = await createSecretReader(io)('--secret-file', flags.secretFile)
      const { listApplications, saveApplication } = await import('../../stores/queries/applications.ts')
      await withVault(config, async ({ db, secrets }) => {
        const known = (await listApplications(db)).find((one) => one.clientId === clientId)
        const name = flags.name ?? known?.name ?? clientId
        await saveApplication(db, secrets, { clientId, name, clientSecret }, Date.now())
        if (flags.json === true) printJson(io, { clientId, name, secret: 'set', isNew: known === undefined })
        else
          printLines(io, [`${known === undefined ? 'added' : 'changed'}: ${clientId} (${name}), secret set`])
      })
    })
  return addSettingFlags(command)
}

function listCommand(io: CliIo): Command {
  const command = new Command('list')
    .description('Show every application')
    .option('--json', 'as one line of JSON')
    .action(async (flags: { readonly json?: boolean }) => {
      const config = configOf(command, io)
      const { listApplications } = await import('../../stores/queries/applications.ts')
      const applications = await withVault(config, ({ db }) => listApplications(db))
      if (flags.json === true) {
        const all = applications.map(({ clientId, name, createdAt }) => {
          return { clientId, name, secret: 'set', createdAt: new Date(createdAt).toISOString() }
        })
        printJson(io, { applications: all })
      } else if (applications.length === 0) {
        printLines(io, ['No application is known yet; `b24-bridge apps add` adds one.'])
      } else {
        const now = Date.now()
        const rows = applications.map(({ clientId, name, createdAt }) => {
          return [clientId, name, 'set', ageText(now - createdAt)]
        })
        printLines(io, tableLines(['CLIENT ID', 'NAME', 'SECRET', 'AGE'], rows))
      }
    })
  return addSettingFlags(command)
}
