import type { Config } from '../../config/config.ts'
import type { TokenState } from '../../model/token.ts'
import { type Finding, fail, ok } from '../doctor/finding.ts'
import { ageText } from '../table.ts'
import type { Vault } from '../vault.ts'
import { withPortals } from './lanes.ts'

/**
 * Renews pairs of tokens now, one after another, as a running bridge would and beside it: whoever else wants to renew one
 * meanwhile waits for the pair that comes of it.
 */
export function renewTokens(
  from: { readonly config: Config; readonly cwd: string },
  vault: Vault,
  tokens: readonly TokenState[],
): Promise<Finding[]> {
  return withPortals(from, vault, async ({ keeper }) => {
    const findings: Finding[] = []
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
  })
}
