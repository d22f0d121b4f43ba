import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { Sandbox } from '../../sandbox/index.ts'
import type { CliIo } from '../io.ts'
import { printJson, printLines } from '../report.ts'
import { whole } from './numbers.ts'

const EXAMPLES = `
Examples:
  b24-bridge sandbox
  b24-bridge sandbox --port 9000 --deals 5000 --plan enterprise
  b24-bridge sandbox --latency 200 --tls
  b24-bridge sandbox --app local.orders:made-up-secret --oauth-port 9001`

interface App {
  readonly clientId: string
  readonly clientSecret: string
}

interface SandboxFlags {
  readonly port: number
  readonly host: string
  readonly deals: number
  readonly plan: 'standard' | 'enterprise' | 'self-hosted'
  readonly latency: number
  readonly tls?: boolean
  readonly certificate?: string
  readonly app: readonly App[]
  readonly oauthPort?: number
  readonly json?: boolean
}

/** `b24-bridge sandbox`: a portal on your desk, with data and the limits of a plan. Runs until interrupted. */
export function sandboxCommand(io: CliIo): Command {
  return new Command('sandbox')
    .description('Start a Bitrix24 portal on this machine, to try things on')
    .option('--port <port>', 'where to listen; 0 takes a free port', whole(65_535), 9000)
    .option('--host <host>', 'address to listen on', '127.0.0.1')
    .option('--deals <count>', 'deals to begin with', whole(10_000_000), 1000)
    .addOption(
      new Option('--plan <plan>', 'whose limits it has')
        .choices(['standard', 'enterprise', 'self-hosted'])
        .default('standard'),
    )
    .option('--latency <ms>', 'milliseconds added to each request', whole(600_000), 0)
    .option('--tls', 'serve https with a certificate made at start')
    .option('--certificate <file>', 'with --tls: write that certificate to this file, for BRIDGE_TLS_CA')
    .option(
      '--app <id:secret>',
      'an application that is installed, with a made-up secret; repeatable',
      apps,
      [],
    )
    .option('--oauth-port <port>', 'a port of its own for the authorization server', whole(65_535))
    .option('--json', 'print the addresses as one line of JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: SandboxFlags) => {
      const { createSandbox } = await import('../../sandbox/index.ts')
      const { port, host, deals, plan, latency, tls = false, app: applications, oauthPort } = flags
      const sandbox = await createSandbox({
        ...{ port, host, deals, plan, latencyMs: latency, tls, applications },
        ...(oauthPort !== undefined && { oauthPort }),
      })
      try {
        if (flags.certificate !== undefined && sandbox.certificate !== undefined)
          await writeFile(resolve(io.cwd, flags.certificate), sandbox.certificate)
        const { url, webhookUrl: webhook, oauthUrl } = sandbox
        const apps = applications.map(({ clientId }) => clientId)
        if (flags.json === true)
          printJson(io, { url, webhook, plan, deals, ...sandbox.identity(), oauthUrl, apps })
        else printLines(io, [...welcome(url, webhook, flags), ...installed(sandbox, apps)])
        if (!io.signal.aborted) await once(io.signal, 'abort')
      } finally {
        await sandbox.close()
      }
    })
}

function welcome(url: string, webhook: string, flags: SandboxFlags): string[] {
  const { plan, deals, tls, certificate } = flags
  return [
    `Sandbox portal at ${url} (plan ${plan}, ${deals} deals). Ctrl+C ends it; its data goes with it.`,
    '',
    `  webhook  ${webhook}`,
    ...(tls === true && certificate === undefined
      ? ['  Clients must trust its certificate: start it with --certificate FILE to get it.']
      : []),
    '',
    'Try in another terminal:',
    '',
    `  export BRIDGE_PORTAL=${webhook}`,
    ...(tls === true && certificate !== undefined ? [`  export BRIDGE_TLS_CA=${certificate}`] : []),
    '  b24-bridge call profile',
    '  b24-bridge list crm.deal.list select[]=ID select[]=TITLE',
    '  b24-bridge run',
  ]
}

/** How to get tokens of the applications that were asked for. */
function installed({ url, oauthUrl, identity }: Sandbox, apps: readonly string[]): string[] {
  const { memberId, domain } = identity()
  return apps.flatMap((clientId) => [
    '',
    `Application ${clientId} is installed on ${domain} (member id ${memberId}). A pair of tokens:`,
    '',
    `  curl -s ${url}/__sandbox/apps -d '${JSON.stringify({ do: 'token', clientId })}'`,
    `  export BRIDGE_OAUTH_SERVERS=${oauthUrl}`,
  ])
}

function apps(text: string, before: readonly App[]): App[] {
  const [, clientId, clientSecret] = /^([\w.-]+):(\S+)$/.exec(text) ?? []
  if (clientId === undefined || clientSecret === undefined)
    throw new InvalidArgumentError('It must be an id and a secret, such as local.orders:made-up-secret.')
  return [...before, { clientId, clientSecret }]
}
