import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import { createStoredPortals } from '../../bridge/stored-portals.ts'
import { createTransport } from '../../client/transport.ts'
import type { Config } from '../../config/config.ts'
import type { TokenState } from '../../model/token.ts'
import { portalQueries, tokenQueries } from '../../stores/bound.ts'
import { folderBeside } from '../../stores/unlock.ts'
import { type Finding, fail, ok } from '../doctor/finding.ts'
import { ageText } from '../table.ts'
import type { Vault } from '../vault.ts'

/**
 * Renews pairs of tokens now, one after another, as a running bridge would and beside it: whoever else wants to renew one
 * meanwhile waits for the pair that comes of it.
 */
export async function renewTokens(
  { config, cwd }: { readonly config: Config; readonly cwd: string },
  { store, secrets }: Vault,
  tokens: readonly TokenState[],
): Promise<Finding[]> {
  const transport = createTransport()
  const { keeper, portals } = createStoredPortals({
    defaultPortal: undefined,
    portalStore: portalQueries(store, secrets),
    tokenStore: tokenQueries(store, secrets),
    secrets,
    spoolFolder: resolve(cwd, folderBeside(config.store, 'spool')),
    oauthServers: config.oauthServers,
    ...(config.tlsCa !== undefined && { ca: config.tlsCa.pem }),
    owner: `tool-${randomUUID()}`,
    now: Date.now,
    log: () => {},
    lane: { transport },
  })
  const findings: Finding[] = []
  try {
    for (const token of tokens) {
      const whose = `${token.clientId}${token.userId === '' ? '' : ` of user ${token.userId}`}`
      try {
        const { expiresAt, version } = await keeper.refresh(token)
        const left = expiresAt === undefined ? '' : `, ${ageText(expiresAt - Date.now())} left`
        findings.push(ok('token', `${whose} renewed: pair ${version}${left}`))
      } catch (error) {
        findings.push(fail('token', error))
      }
    }
    return findings
  } finally {
    await keeper.close()
    await portals.close(0)
    await transport.close()
  }
}
