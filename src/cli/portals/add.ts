import { createAuthorizationServer } from '../../client/oauth.ts'
import type { Config } from '../../config/config.ts'
import { CommandError } from '../../model/errors.ts'
import { isJsonObject, type JsonObject } from '../../model/json.ts'
import type { Portal } from '../../model/portal.ts'
import { parseWebhook } from '../../model/webhook.ts'
import { listApplications, listInstallations, saveInstallation } from '../../stores/queries/applications.ts'
import { findPortal, resumePortal, saveAlias, savePortal } from '../../stores/queries/portals.ts'
import { saveTokens } from '../../stores/queries/tokens.ts'
import { inTransaction } from '../../stores/queries/transaction.ts'
import { saveWebhook } from '../../stores/queries/webhooks.ts'
import type { Vault } from '../vault.ts'
import { askServer, fixedToken, probe, readEndpoint } from './probe.ts'

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
 * Keeps tokens set by hand, after a call with them unless `check` is false: the user is the one of `profile`, and the
 * authorization server, where one is named, must say the same portal and application. A suspended portal is resumed.
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
  if (serverEndpoint !== undefined) allowServer(config, serverEndpoint)
  const found = check ? await look(config, given) : undefined
  const userId = found?.userId ?? given.userId ?? ''

  await inTransaction(vault.db, async (db) => {
    const now = Date.now()
    const before = await findPortal(db, memberId)
    await savePortal(db, portal, now)
    if (check && before?.memberId === memberId && before.state === 'suspended')
      await resumePortal(db, memberId, now)
    if (given.alias !== undefined) await saveAlias(db, given.alias, memberId)
    const installed = await listInstallations(db, memberId)
    const scope = found?.scope ?? []
    if (!installed.some((one) => one.clientId === clientId))
      await saveInstallation(db, { memberId, clientId, scope, ...(userId !== '' && { userId }) }, now)
    const pair = { accessToken, ...(refreshToken !== undefined && { refreshToken }), scope }
    await saveTokens(db, vault.secrets, { memberId, clientId, userId }, pair, now)
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
function allowServer(config: Config, serverEndpoint: string): void {
  const { origin } = readEndpoint(serverEndpoint)
  createAuthorizationServer({ origin, allowed: config.oauthServers, now: Date.now })
}

async function look(
  config: Config,
  { portal, clientId, accessToken, userId }: GivenTokens,
): Promise<{ readonly userId: string; readonly scope: readonly string[] }> {
  const { profile, scope, app } = await probe(config, {
    credential: fixedToken(portal.clientEndpoint, accessToken),
  })
  const sources = [app]
  if (portal.serverEndpoint !== undefined)
    sources.push(await askServer(config, portal.serverEndpoint, accessToken))
  for (const source of sources) {
    same('portal', portal.memberId, installOf(source).member_id)
    same('application', clientId, source.client_id)
  }
  same('user', userId, profile.ID)
  return {
    userId: String(profile.ID ?? userId ?? ''),
    scope: Array.isArray(scope) ? scope.map(String) : [],
  }
}

function installOf(app: JsonObject): JsonObject {
  return isJsonObject(app.install) ? app.install : {}
}

/** What is not told is not doubted. */
function same(what: string, given: string | undefined, told: unknown): void {
  if (given === undefined || told === undefined || String(told) === given) return
  throw new CommandError(
    'TOKEN_OF_ANOTHER',
    `The token belongs to the ${what} ${String(told)}, not ${given}.`,
    {
      hint: 'Nothing was written. Give the values that came together with the token.',
    },
  )
}
