import { type AuthorizationServer, createAuthorizationServer, type TokenInfo } from '../../client/oauth.ts'
import type { Config } from '../../config/config.ts'
import { type BridgeError, CommandError } from '../../model/errors.ts'
import type { Portal } from '../../model/portal.ts'
import { parseWebhook } from '../../model/webhook.ts'
import { listApplications, listInstallations, saveInstallation } from '../../stores/queries/applications.ts'
import { findPortal, resumePortal, saveAlias, savePortal } from '../../stores/queries/portals.ts'
import { saveTokens } from '../../stores/queries/tokens.ts'
import { inTransaction } from '../../stores/queries/transaction.ts'
import { forgetVisitor } from '../../stores/queries/visitors.ts'
import { saveWebhook } from '../../stores/queries/webhooks.ts'
import { asRead } from '../client.ts'
import type { Vault } from '../vault.ts'
import { fixedToken, probe, readEndpoint } from './probe.ts'

/** A webhook as an operator gives it. */
export interface GivenWebhook {
  readonly url: string
  readonly name: string
  readonly memberId?: string
  readonly alias?: string
  readonly limit?: string
}

/** Tokens as an operator gives them. */
export interface GivenTokens {
  readonly portal: Portal
  readonly clientId: string
  readonly userId?: string
  readonly alias?: string
  readonly accessToken: string
  readonly refreshToken?: string
}

/** What was added; `remarks` are for people. */
export interface Added {
  readonly domain: string
  readonly memberId?: string
  readonly userId?: string
  readonly checked: boolean
  readonly remarks: readonly string[]
}

/** Keeps a webhook, after one call with it unless `check` is false. What does not answer is not written. */
export async function addWebhook(
  config: Config,
  vault: Vault,
  given: GivenWebhook,
  check: boolean,
): Promise<Added> {
  const { db, secrets } = vault
  const webhook = parseWebhook(given.url)
  if (check) await probe(config, { webhook })
  const known = given.memberId ?? (await findPortal(db, webhook.domain))?.memberId
  if (known === undefined && (given.alias !== undefined || given.limit !== undefined))
    throw new CommandError(
      'MEMBER_ID_MISSING',
      'An alias or a limit needs a portal whose permanent id is known.',
      {
        hint: 'Give --member-id; a webhook does not tell it. It is shown by app.info of an application, or by the support of Bitrix24.',
      },
    )
  await inTransaction(db, async (transaction) => {
    const now = Date.now()
    if (known !== undefined) {
      const found = await findPortal(transaction, known)
      const portal = found?.memberId === known ? found : undefined
      const { domain, origin, root } = webhook
      if (portal === undefined || given.limit !== undefined)
        await savePortal(
          transaction,
          {
            memberId: known,
            domain: portal?.domain ?? domain,
            clientEndpoint: portal?.clientEndpoint ?? `${origin}${root}/`,
            ...(given.limit !== undefined && { limit: given.limit }),
          },
          now,
        )
      if (given.alias !== undefined) await saveAlias(transaction, given.alias, known)
    }
    const { url, name } = given
    await saveWebhook(
      transaction,
      secrets,
      { url, name, ...(known !== undefined && { memberId: known }) },
      now,
    )
  })
  return {
    domain: webhook.domain,
    userId: webhook.userId,
    ...(known !== undefined && { memberId: known }),
    checked: check,
    remarks: [],
  }
}

/**
 * Keeps tokens set by hand, after a look at them unless `check` is false: the authorization server must say the same
 * portal and application, and the user is the one of `profile`. A suspended portal is resumed by that.
 */
export async function addTokens(
  config: Config,
  vault: Vault,
  given: GivenTokens,
  check: boolean,
): Promise<Added> {
  const { portal, clientId, accessToken, refreshToken } = given
  const { memberId, domain, serverEndpoint } = portal
  if (readEndpoint(portal.clientEndpoint).host !== domain)
    throw new CommandError('ENDPOINT_INVALID', `The address for calls is not on ${domain}.`, {
      hint: 'Give the --domain that --endpoint names, or leave --endpoint out.',
    })
  const before = await findPortal(vault.db, memberId)
  const server = serverOf(config, serverEndpoint ?? before?.serverEndpoint)
  const found = check ? await look(config, server, given) : undefined
  const userId = found?.userId ?? given.userId ?? ''

  await inTransaction(vault.db, async (db) => {
    const now = Date.now()
    const told = found?.info.serverEndpoint
    await savePortal(
      db,
      { ...portal, ...(told !== undefined && told !== '' && { serverEndpoint: told }) },
      now,
    )
    if (check) await resumePortal(db, memberId, now)
    if (given.alias !== undefined) await saveAlias(db, given.alias, memberId)
    const installed = await listInstallations(db, memberId)
    const { scope = [], status } = found?.info ?? {}
    const more = { scope, ...(status !== undefined && { status }) }
    if (!installed.some((one) => one.clientId === clientId))
      await saveInstallation(db, { memberId, clientId, ...more, ...(userId !== '' && { userId }) }, now)
    const pair = { accessToken, ...(refreshToken !== undefined && { refreshToken }), ...more }
    await saveTokens(db, vault.secrets, { memberId, clientId, userId }, pair, now)
    await forgetVisitor(db, { memberId, clientId, userId })
  })

  const remarks: string[] = []
  const applications = await listApplications(vault.db)
  if (refreshToken === undefined)
    remarks.push('Without a refresh token this ends when the access token does, an hour after it was given.')
  else if (!applications.some((one) => one.clientId === clientId))
    remarks.push(
      `The application ${clientId} is not known here, so its tokens cannot be renewed: \`b24-bridge apps add\`.`,
    )
  return { domain, memberId, ...(userId !== '' && { userId }), checked: check, remarks }
}

/** Secrets are sent to authorization servers, so an address is believed only when the operator allowed it. */
function serverOf(config: Config, serverEndpoint: string | undefined): AuthorizationServer {
  const address = serverEndpoint ?? config.oauthServers[0]
  return createAuthorizationServer({
    ...(address !== undefined && { origin: new URL(address).origin }),
    allowed: config.oauthServers,
    ...(config.tlsCa !== undefined && { ca: config.tlsCa.pem }),
    now: Date.now,
  })
}

/** The authorization server says whose token it is: it alone can be believed. The portal says who the user is. */
async function look(
  config: Config,
  server: AuthorizationServer,
  { portal, clientId, accessToken, userId }: GivenTokens,
): Promise<{ readonly userId: string; readonly info: TokenInfo }> {
  const info = await server.appInfo(accessToken).catch((error: unknown) => {
    throw asRead(error as BridgeError)
  })
  same('portal', portal.memberId, info.memberId)
  same('application', clientId, info.clientId)
  same('domain', portal.domain, readEndpoint(info.clientEndpoint).host)
  const { profile } = await probe(config, { credential: fixedToken(portal.clientEndpoint, accessToken) })
  same('user', userId, String(profile.ID))
  return { userId: String(profile.ID), info }
}

function same(what: string, given: string | undefined, told: string): void {
  if (given === undefined || told === given) return
  throw new CommandError('TOKEN_OF_ANOTHER', `The token belongs to the ${what} ${told}, not ${given}.`, {
    hint: 'Nothing was written. Give the values that came together with the token.',
  })
}
