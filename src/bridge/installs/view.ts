import type { Installation, KnownPortal } from '../../model/portal.ts'
import type { TokenState } from '../../model/token.ts'
import type { InstallStore } from './store.ts'

/** A portal as operators see it: secrets are only ever there or not. */
export interface PortalView {
  readonly portal: KnownPortal
  readonly installations: readonly (Installation & { readonly hasApplicationToken: boolean })[]
  readonly tokens: readonly TokenState[]
}

/** Gathers what is known of a portal. */
export async function viewOf(store: InstallStore, portal: KnownPortal): Promise<PortalView> {
  const { memberId } = portal
  const [installations, tokens, known] = await Promise.all([
    store.listInstallations(memberId),
    store.listTokens(memberId),
    store.listApplicationTokens(memberId),
  ])
  return {
    portal,
    tokens,
    installations: installations.map((installation) => ({
      ...installation,
      hasApplicationToken: known.some(({ clientId }) => clientId === installation.clientId),
    })),
  }
}
