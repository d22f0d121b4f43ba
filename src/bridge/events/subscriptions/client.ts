import { clientOver } from '../../../client/client.ts'
import type { Credential } from '../../../model/credential.ts'
import { CommandError } from '../../../model/errors.ts'
import type { KnownPortal } from '../../../model/portal.ts'
import { withConnector } from '../../auth-connector.ts'
import type { Portals } from '../../portals.ts'
import { stopped } from '../../tokens/reasons.ts'
import type { SubscriptionStore } from './store.ts'

/** What calling a portal for an application takes. */
export interface ClientParts {
  readonly portals: Pick<Portals, 'find'>
  readonly store: Pick<SubscriptionStore, 'listInstallations' | 'listTokens'>
}

/** A portal, called by its lane. */
export interface PortalClient extends ReturnType<typeof clientOver> {
  /** The same under the name of a connector, which portals look for beside the commands of a batch. */
  under(connector: string): Pick<PortalClient, 'batch'>
}

/**
 * Calls in the name of the administrator who installed the application, while his tokens live; otherwise of whoever
 * authorized it first. Rejects when nobody has, or when no tokens live.
 */
export async function openPortalClient(
  { portals, store }: ClientParts,
  { memberId, domain }: Pick<KnownPortal, 'memberId' | 'domain'>,
  clientId: string,
): Promise<PortalClient> {
  const installation = (await store.listInstallations(memberId)).find((one) => one.clientId === clientId)
  const tokens = (await store.listTokens(memberId)).filter((one) => one.clientId === clientId)
  if (tokens.length === 0) throw notInstalled(domain, clientId)
  const alive = tokens.filter(({ state }) => state === 'active')
  if (alive.length === 0) throw stopped('TOKENS_DEAD', tokens[0]?.reason, domain)
  const installer = alive.find(({ userId }) => userId === installation?.userId)?.userId
  const { lane, credential } = await portals.find({
    portal: memberId,
    application: clientId,
    ...(installer === undefined || installer === '' ? {} : { as: installer }),
  })
  const by = (own: Credential): ReturnType<typeof clientOver> =>
    clientOver({
      submit: (work) =>
        lane.submit({ ...work, options: { credential: own, source: 'subscriptions', ...work.options } }),
    })
  return { ...by(credential), under: (connector) => by(withConnector(credential, connector)) }
}

function notInstalled(domain: string, clientId: string): CommandError {
  return new CommandError('NOT_INSTALLED', `The application ${clientId} is not installed on ${domain}`, {
    status: 404,
    hint: 'Install it there; an incoming webhook cannot bind events.',
  })
}
