import { decodeAnswer } from '../../client/decode.ts'
import type { AuthorizationServer, TokenInfo } from '../../client/oauth.ts'
import type { Transport } from '../../client/transport.ts'
import { AuthError, BridgeError, type CommandError, RestError, ThrottledError } from '../../model/errors.ts'
import { isJsonObject, type JsonObject } from '../../model/json.ts'
import { parseDomain } from '../../model/portal.ts'
import type { Claim } from './forms.ts'
import { type InstallRefusal, refuseInstall } from './refusals.ts'
import type { OpenServer } from './servers.ts'
import type { InstallStore, VerifiedInstall } from './store.ts'

/** What proving a claim needs. */
export interface Verifier {
  readonly store: InstallStore
  readonly transport: Pick<Transport, 'post'>
  readonly openServer: OpenServer
  readonly now: () => number
}

/**
 * What is true of a claim. In this order, so that nothing is sent to an address that the claim itself names:
 *
 * 1. the authorization server is one of those allowed (its address is ours, not the claim's);
 * 2. it knows the access token, and says whose it is;
 * 3. member id and domain of the claim are those that the server named;
 * 4. the application is one of ours;
 * 5. the portal, at the endpoint that the server named, accepts the token and says who the user is. An administrator
 *    may install; anybody else only repeats what is known, proven by the application token.
 *
 * Rejects with one of `INSTALL_REFUSALS`; writes nothing.
 */
export async function verifyClaim(verifier: Verifier, claim: Claim): Promise<VerifiedInstall> {
  const { install, isAdmin } = await verifyUser(verifier, claim)
  if (!isAdmin && !(await isKnownToken(verifier.store, claim, install.installation)))
    throw refuseInstall('NOT_ADMIN')
  // Whoever is no administrator brings news of the installation, and speaks for himself alone.
  return isAdmin ? install : { ...install, visitor: true }
}

/**
 * The same for anybody who opens a page of the application: who it is, proven by the same steps. What is given may be
 * kept as an installation only when the user is an administrator.
 */
export async function verifyUser(
  verifier: Verifier,
  claim: Claim,
): Promise<{ readonly install: VerifiedInstall; readonly isAdmin: boolean }> {
  const { store, now } = verifier
  const info = await askWhose(await serverFor(verifier, claim), claim.accessToken)
  if (info.memberId !== claim.memberId) throw refuseInstall('MEMBER_MISMATCH')
  const domain = parseDomain(info.clientEndpoint)
  if (domain !== claim.domain) throw refuseInstall('DOMAIN_MISMATCH')
  if ((await store.findApplication(info.clientId)) === undefined) throw refuseInstall('APPLICATION_UNKNOWN')
  const { userId, isAdmin } = await askProfile(verifier.transport, info.clientEndpoint, claim.accessToken)
  const { memberId, clientId, clientEndpoint, serverEndpoint, scope, status } = info
  const version = claim.version ?? info.version
  const install = {
    portal: { memberId, domain, clientEndpoint, serverEndpoint },
    installation: {
      memberId,
      clientId,
      status,
      scope,
      userId,
      ...(version === undefined ? {} : { version }),
    },
    tokens: {
      key: { memberId, clientId, userId },
      pair: {
        accessToken: claim.accessToken,
        ...(claim.refreshToken === undefined ? {} : { refreshToken: claim.refreshToken }),
        ...(claim.expiresInMs === undefined ? {} : { expiresAt: now() + claim.expiresInMs }),
        scope,
        status,
      },
    },
    ...(claim.applicationToken === undefined ? {} : { applicationToken: claim.applicationToken }),
  }
  return { install, isAdmin }
}

/** The server that a claim names; for one that names none, the portal's as it is known, or the operator's first. */
async function serverFor(
  verifier: Verifier,
  { serverEndpoint, memberId }: Claim,
): Promise<AuthorizationServer> {
  const named = serverEndpoint ?? (await verifier.store.findPortal(memberId))?.serverEndpoint
  return verifier.openServer(named)
}

/** Whose token it is, by the one who gave it out. */
export async function askWhose(server: AuthorizationServer, accessToken: string): Promise<TokenInfo> {
  return server.appInfo(accessToken).catch((error: unknown) => {
    throw serverRefusal(error, 'TOKEN_REFUSED')
  })
}

/** What a failure at the authorization server means for whoever asked us. */
export function serverRefusal(error: unknown, otherwise: InstallRefusal): CommandError {
  if (!(error instanceof AuthError)) return refuseInstall('AUTH_SERVER_UNREACHABLE', error)
  const code = error.code.toLowerCase()
  if (code === 'payment_required') return refuseInstall('PAYMENT_REQUIRED', error)
  const wrong = code === 'wrong_client' || code === 'invalid_client'
  return refuseInstall(wrong ? 'APPLICATION_REFUSED' : otherwise, error)
}

/** Calls a method of a portal once, outside of its lane: installing comes before there is one. */
export async function askPortal(
  transport: Pick<Transport, 'post'>,
  call: { readonly clientEndpoint: string; readonly method: string; readonly params: JsonObject },
): Promise<JsonObject> {
  const url = new URL(`${call.clientEndpoint.replace(/\/?$/, '/')}${call.method}`)
  const answer = await transport.post(url.origin, url.pathname, JSON.stringify(call.params))
  const decoded = decodeAnswer(answer.status, answer.text)
  if (!decoded.ok) throw decoded.error
  return decoded.body
}

async function askProfile(
  transport: Pick<Transport, 'post'>,
  clientEndpoint: string,
  accessToken: string,
): Promise<{ readonly userId: string; readonly isAdmin: boolean }> {
  try {
    const params = { auth: accessToken }
    const { result } = await askPortal(transport, { clientEndpoint, method: 'profile', params })
    const profile = isJsonObject(result) ? result : {}
    return { userId: String(profile.ID ?? ''), isAdmin: profile.ADMIN === true }
  } catch (error) {
    const refused = error instanceof RestError && !(error instanceof ThrottledError)
    if (refused) throw refuseInstall('PORTAL_REFUSED', error)
    if (error instanceof BridgeError) throw refuseInstall('PORTAL_UNREACHABLE', error)
    throw error
  }
}

/** Any user can post a form with a token of his own; only portal and application know the application token. */
async function isKnownToken(
  store: InstallStore,
  claim: Claim,
  info: Pick<TokenInfo, 'memberId' | 'clientId'>,
): Promise<boolean> {
  if (claim.applicationToken === undefined) return false
  const known = await store.findApplicationToken(info.memberId, claim.applicationToken)
  return known?.clientId === info.clientId
}
