import { Command, InvalidArgumentError } from 'commander'
import { CommandError } from '../../model/errors.ts'
import { parseRequestLimit } from '../../model/limits.ts'
import { parseDomain } from '../../model/portal.ts'
import type { CliIo } from '../io.ts'
import type { Added, GivenTokens, GivenWebhook } from '../portals/add.ts'
import { readEndpoint } from '../portals/probe.ts'
import { printJson, printLines } from '../report.ts'
import { createSecretReader, isPlace, type SecretReader } from '../secret-input.ts'
import { addSettingFlags, configOf } from '../settings.ts'
import { withVault } from '../vault.ts'

const EXAMPLES = `
A secret is read from a file, from a line of stdin (-) or from a variable (env:NAME). Whoever can list processes can read
what stands on the command line itself.

Examples:
  b24-bridge portals add --webhook-file webhook.txt --name "CRM"
  pass show b24/webhook | b24-bridge portals add --webhook -
  b24-bridge portals add --domain example.bitrix24.com --member-id a223c6b3710f85df22e9377d6c4f7553 \\
    --client-id app.573ad8a0346747.09223434 --access-token-file access.txt --refresh-token-file refresh.txt`

interface Flags {
  readonly webhook?: string
  readonly webhookFile?: string
  readonly name?: string
  readonly domain?: string
  readonly endpoint?: string
  readonly server?: string
  readonly memberId?: string
  readonly clientId?: string
  readonly user?: string
  readonly accessTokenFile?: string
  readonly refreshTokenFile?: string
  readonly alias?: string
  readonly portalLimit?: string
  readonly check: boolean
  readonly json?: boolean
}

/** `b24-bridge portals add`: a webhook, or tokens by hand. Checked with one call, and written only when that works. */
export function addCommand(io: CliIo): Command {
  const command = new Command('add')
    .description('Add a portal by a webhook, or by tokens of an application')
    .option('--webhook <url>', 'address of an incoming webhook, - or env:NAME')
    .option('--webhook-file <file>', 'file with that address, - or env:NAME')
    .option('--name <text>', 'of a webhook: what people call it')
    .option('--domain <host>', 'with tokens: host name of the portal')
    .option('--endpoint <url>', 'with tokens: where calls go, if not https://DOMAIN/rest/')
    .option('--server <url>', "with tokens: REST address of the authorization server, if not the cloud's")
    .option('--member-id <id>', 'permanent id of the portal')
    .option('--client-id <id>', 'with tokens: the application')
    .option('--user <id>', 'with tokens: whose they are; asked from the portal otherwise')
    .option('--access-token-file <file>', 'file with the access token, - or env:NAME')
    .option('--refresh-token-file <file>', 'file with the refresh token, - or env:NAME')
    .option('--alias <name>', 'another name for commands to use', aliasText)
    .option(
      '--portal-limit <limit>',
      'request limit of this portal: standard, enterprise, off or 50/2',
      limit,
    )
    .option('--no-check', 'do not call the portal first')
    .option('--json', 'as one line of JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: Flags) => {
      const config = configOf(command, io)
      const read = createSecretReader(io)
      const webhook = await webhookOf(flags, read)
      const { addTokens, addWebhook } = await import('../portals/add.ts')
      const added = await withVault(config, async (vault) =>
        webhook === undefined
          ? addTokens(config, vault, await tokensOf(flags, read), flags.check)
          : addWebhook(config, vault, webhook, flags.check),
      )
      if (flags.json === true) printJson(io, added)
      else printLines(io, [sentence(added), ...added.remarks.map((remark) => `note: ${remark}`)])
    })
  return addSettingFlags(command)
}

async function webhookOf(flags: Flags, read: SecretReader): Promise<GivenWebhook | undefined> {
  const { webhook, webhookFile, name = '', memberId, alias, portalLimit } = flags
  if (webhook === undefined && webhookFile === undefined) return undefined
  if (flags.accessTokenFile !== undefined)
    throw new CommandError('ARGUMENT_INVALID', 'Give either a webhook or tokens.')
  const url =
    webhookFile !== undefined
      ? await read('--webhook-file', webhookFile)
      : isPlace(webhook ?? '')
        ? await read('--webhook', webhook ?? '')
        : (webhook ?? '')
  return {
    url,
    name,
    ...(memberId !== undefined && { memberId }),
    ...(alias !== undefined && { alias }),
    ...(portalLimit !== undefined && { limit: portalLimit }),
  }
}

async function tokensOf(flags: Flags, read: SecretReader): Promise<GivenTokens> {
  const { memberId, clientId, accessTokenFile, refreshTokenFile, user, alias, portalLimit } = flags
  const domain =
    flags.domain ?? (flags.endpoint === undefined ? undefined : readEndpoint(flags.endpoint).host)
  if (
    domain === undefined ||
    memberId === undefined ||
    clientId === undefined ||
    accessTokenFile === undefined
  ) {
    throw new CommandError(
      'ARGUMENT_INVALID',
      'Neither a webhook nor all that belongs to tokens was given.',
      {
        hint: 'Give --webhook, or --domain, --member-id, --client-id and --access-token-file together.',
      },
    )
  }
  const host = parseDomain(domain)
  return {
    portal: {
      memberId,
      domain: host,
      clientEndpoint: flags.endpoint ?? `https://${host}/rest/`,
      ...(flags.server !== undefined && { serverEndpoint: readEndpoint(flags.server).href }),
      ...(portalLimit !== undefined && { limit: portalLimit }),
    },
    clientId,
    ...(user !== undefined && { userId: user }),
    ...(alias !== undefined && { alias }),
    accessToken: await read('--access-token-file', accessTokenFile),
    ...(refreshTokenFile !== undefined && {
      refreshToken: await read('--refresh-token-file', refreshTokenFile),
    }),
  }
}

function sentence({ domain, memberId, userId, checked }: Added): string {
  const id = memberId === undefined ? '' : ` (${memberId})`
  const who = userId === undefined ? '' : `, in the name of user ${userId}`
  return `added: ${domain}${id}${who}; ${checked ? 'it answered' : 'not checked'}`
}

function limit(text: string): string {
  if (parseRequestLimit(text) !== undefined) return text
  throw new InvalidArgumentError('It must be standard, enterprise, off or two numbers such as 50/2.')
}

function aliasText(text: string): string {
  if (/^[\w.-]{1,100}$/.test(text)) return text
  throw new InvalidArgumentError('It must be letters, digits, dots, dashes and underscores.')
}
