import type { Installation, KnownPortal, Portal } from '../../model/portal.ts'
import type { TokenKey, TokenPair, TokenState } from '../../model/token.ts'

/** All that one verified installation leaves behind; it is written whole or not at all. */
export interface VerifiedInstall {
  readonly portal: Portal
  readonly installation: Installation
  readonly tokens: { readonly key: TokenKey; readonly pair: TokenPair }
  /** Takes the place of the one that the application had on this portal; its fingerprint is kept. */
  readonly applicationToken?: string
  /** The user is no administrator: who made the installation stays, and this pair is for calls in his own name only. */
  readonly visitor?: true
}

/** An application with the secret that proves it to the authorization server. */
export interface InstallApplication {
  readonly clientId: string
  readonly clientSecret: string
}

/** What installing needs of a store. Every method rejects with a `StoreError` when the store cannot be reached. */
export interface InstallStore {
  findApplication(clientId: string): Promise<InstallApplication | undefined>
  saveApplication(application: InstallApplication, now: number): Promise<void>
  listApplications(): Promise<readonly { readonly clientId: string }[]>
  /** By member id, alias or domain. */
  findPortal(name: string): Promise<KnownPortal | undefined>
  listPortals(page: { readonly after?: string; readonly limit?: number }): Promise<KnownPortal[]>
  listInstallations(memberId: string): Promise<Installation[]>
  listTokens(memberId: string): Promise<TokenState[]>
  /** Client ids of the applications whose application token is known; `undefined` stands for an outgoing webhook. */
  listApplicationTokens(memberId: string): Promise<readonly { readonly clientId?: string }[]>
  /** Whose application token this is; what is compared takes the same time for any text. */
  findApplicationToken(memberId: string, token: string): Promise<{ readonly clientId?: string } | undefined>
  /** Writes it whole or not at all; the portal may be called again afterwards. */
  saveInstall(install: VerifiedInstall, now: number): Promise<void>
  savePortal(portal: Portal, now: number): Promise<void>
  /**
   * The application is gone. With `clean` everything of it on the portal is forgotten, and the portal too when nothing
   * else is known of it; otherwise its tokens are dead, and the portal is suspended when no others are left.
   */
  uninstall(gone: {
    readonly memberId: string
    readonly clientId: string
    readonly clean: boolean
    readonly reason: string
    readonly now: number
  }): Promise<void>
  removePortal(memberId: string): Promise<boolean>
  /** A signature under a key that never leaves the store and is the same for every process. */
  sign(text: string): string
  /** True for the first who asks under this name within the time, of all processes. */
  claimOnce(name: string, time: { readonly ttlMs: number; readonly now: number }): Promise<boolean>
}
