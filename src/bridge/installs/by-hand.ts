import type { TokenInfo } from '../../client/oauth.ts'
import { CommandError } from '../../model/errors.ts'
import { parseDomain } from '../../model/portal.ts'
import type { TokenPair } from '../../model/token.ts'
import { chooseApplication } from './authorize.ts'
import { refuseInstall } from './refusals.ts'
import type { VerifiedInstall } from './store.ts'
import { askWhose, serverRefusal, type Verifier } from './verify.ts'

/** Tokens as an operator gives them; one of the two at least. */
export interface GivenTokens {
  readonly accessToken?: string
  readonly refreshToken?: string
  readonly expiresInSeconds?: number
  /** The only application unless said otherwise. */
  readonly clientId?: string
  /** For a portal that is not known yet. */
  readonly domain?: string
  /** For a portal that is not known yet and has another authorization server than usual. */
  readonly serverEndpoint?: string
}

/**
 * The tokens with what the authorization server says of them. With an access token that is alive nothing is used up;
 * otherwise the refresh token is renewed at once. `belongs` is false when the server says that they are of another
 * portal than the one that was named.
 */
export async function tokensByHand(
  verifier: Verifier,
  name: string,
  given: GivenTokens,
): Promise<{ readonly install: VerifiedInstall; readonly belongs: boolean }> {
  const { store } = verifier
  const { accessToken, refreshToken, domain } = given
  if (accessToken === undefined && refreshToken === undefined) throw refuseInstall('TOKENS_INVALID')
  const portal = await store.findPortal(name)
  if (portal === undefined && domain === undefined) throw refuseInstall('PORTAL_UNKNOWN')
  const wanted = { memberId: portal?.memberId ?? name, domain: domain && parseDomain(domain) }
  const application = await chooseApplication(store, given.clientId)
  const server = verifier.openServer(given.serverEndpoint ?? portal?.serverEndpoint)

  if (accessToken !== undefined) {
    const info = await askWhose(server, accessToken).catch((error: unknown) => {
      const renewable = error instanceof CommandError && error.code === 'TOKEN_REFUSED'
      if (refreshToken === undefined || !renewable) throw error
    })
    if (info !== undefined) {
      if (info.memberId !== wanted.memberId) throw refuseInstall('MEMBER_MISMATCH')
      if (wanted.domain !== undefined && parseDomain(info.clientEndpoint) !== wanted.domain)
        throw refuseInstall('DOMAIN_MISMATCH')
      if (info.clientId !== application.clientId) throw refuseInstall('APPLICATION_UNKNOWN')
      const pair = {
        accessToken,
        ...(refreshToken === undefined ? {} : { refreshToken }),
        ...(given.expiresInSeconds === undefined
          ? {}
          : { expiresAt: verifier.now() + given.expiresInSeconds * 1000 }),
      }
      return { install: await installOf(verifier, info, pair), belongs: true }
    }
  }
  const grant = await server.refresh(application, refreshToken ?? '').catch((error: unknown) => {
    throw serverRefusal(error, 'TOKEN_REFUSED')
  })
  const { clientId } = application
  const install = await installOf(verifier, { ...grant, clientId, version: undefined }, grant)
  return { install, belongs: grant.memberId === wanted.memberId }
}

async function installOf(
  { store }: Pick<Verifier, 'store'>,
  info: TokenInfo,
  { accessToken, refreshToken, expiresAt }: TokenPair,
): Promise<VerifiedInstall> {
  const { memberId, clientId, clientEndpoint, serverEndpoint, scope, status, userId = '' } = info
  const before = (await store.listInstallations(memberId)).find((one) => one.clientId === clientId)
  return {
    portal: {
      memberId,
      domain: parseDomain(clientEndpoint),
      clientEndpoint,
      ...(serverEndpoint === '' ? {} : { serverEndpoint }),
    },
    installation: { userId, ...before, memberId, clientId, status, scope },
    tokens: {
      key: { memberId, clientId, userId },
      pair: {
        accessToken,
        ...(refreshToken === undefined ? {} : { refreshToken }),
        ...(expiresAt === undefined ? {} : { expiresAt }),
        scope,
        status,
      },
    },
  }
}
