import { hintOf } from '../../bridge/tokens/reasons.ts'
import type { Config } from '../../config/config.ts'
import { AuthError, BridgeError } from '../../model/errors.ts'
import type { TokenState } from '../../model/token.ts'
import { findTokens } from '../../stores/queries/tokens.ts'
import { findWebhookUrl, type KnownWebhook } from '../../stores/queries/webhooks.ts'
import { type Finding, fail, ok, warn } from '../doctor/finding.ts'
import { checkClock, checkProfile, checkScope } from '../doctor/portal.ts'
import { EXIT } from '../exit-codes.ts'
import type { Vault } from '../vault.ts'
import type { PortalEntry } from './known.ts'
import { fixedToken, type Probe, probe } from './probe.ts'

/** All that was found on one portal. */
export interface CheckedPortal {
  readonly domain: string
  readonly memberId: string | null
  readonly findings: readonly Finding[]
}

/** Calls a portal once in each way that is known. Renews nothing and changes nothing. */
export async function checkEntry(config: Config, vault: Vault, entry: PortalEntry): Promise<CheckedPortal> {
  const { domain, portal, tokens, webhooks } = entry
  const findings: Finding[] = []
  if (portal?.state === 'suspended')
    findings.push(refused('state', `suspended: ${portal.reason ?? 'no reason known'}`, hintOf(portal.reason)))
  for (const webhook of webhooks) findings.push(...(await checkWebhook(config, vault, entry, webhook)))
  for (const token of tokens) findings.push(...(await checkTokens(config, vault, entry, token)))
  if (webhooks.length + tokens.length === 0)
    findings.push(
      refused('ways', 'nobody can call it', 'Add a webhook or tokens with `b24-bridge portals add`.'),
    )
  return { domain, memberId: portal?.memberId ?? null, findings }
}

async function checkWebhook(
  config: Config,
  { db, secrets }: Vault,
  { portal }: PortalEntry,
  { id, userId }: KnownWebhook,
): Promise<Finding[]> {
  const check = 'webhook'
  try {
    const url = (await findWebhookUrl(db, secrets, id)) ?? ''
    return found(check, `of user ${userId}`, await probe(config, { webhook: url, ...limitOf(portal) }))
  } catch (error) {
    return [fail(check, error)]
  }
}

async function checkTokens(
  config: Config,
  { db, secrets }: Vault,
  { portal }: PortalEntry,
  token: TokenState,
): Promise<Finding[]> {
  const check = 'token'
  const whose = `${token.clientId}${token.userId === '' ? '' : ` of user ${token.userId}`}`
  if (token.state === 'dead')
    return [refused(check, `${whose} is dead: ${token.reason ?? 'no reason known'}`, hintOf(token.reason))]
  try {
    const tokens = await findTokens(db, secrets, token)
    if (tokens === undefined || portal === undefined) return []
    const credential = fixedToken(portal.clientEndpoint, tokens.accessToken)
    return found(check, whose, await probe(config, { credential, ...limitOf(portal) }))
  } catch (error) {
    if (!(error instanceof AuthError) || error.code.toLowerCase() !== 'expired_token')
      return [fail(check, error)]
    if (!token.hasRefreshToken) return [refused(check, `${whose} has expired, with no refresh token`, AGAIN)]
    return [warn(check, `${whose} has expired`, 'The next call renews it; nothing needs to be done.')]
  }
}

const AGAIN = 'Somebody must open the application on the portal once more, or authorize it again.'

function found(check: string, whose: string, { profile, scope, serverTime, at, tookMs }: Probe): Finding[] {
  return [
    ok(check, `${whose} answered in ${tookMs} ms`),
    checkProfile(profile),
    checkScope(scope),
    checkClock(serverTime, at),
  ]
}

function limitOf(portal: PortalEntry['portal']): { readonly limit?: string } {
  return portal?.limit === undefined ? {} : { limit: portal.limit }
}

/** Somebody on the portal's side must act. */
function refused(check: string, text: string, hint: string): Finding {
  return { ...fail(check, new BridgeError('REFUSED', text)), hint, exitCode: EXIT.refused }
}
