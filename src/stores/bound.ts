import type { DeadLetter, LetterContent, LetterFilter } from '../model/dead-letter.ts'
import type { Portal } from '../model/portal.ts'
import type { TokenKey, TokenPair, TokenState } from '../model/token.ts'
import { maskSecrets } from '../model/webhook.ts'
import { findApplication } from './queries/applications.ts'
import * as dead from './queries/dead-letters.ts'
import { findAccess } from './queries/event-tokens.ts'
import { takeLease } from './queries/leases.ts'
import * as ledger from './queries/ledger.ts'
import { findPortal, listPortals, resumePortal, savePortal, suspendPortal } from './queries/portals.ts'
import { dropSpare, listSpares } from './queries/spare-tokens.ts'
import * as tokens from './queries/tokens.ts'
import { visitorsOf } from './queries/visitors.ts'
import { findWebhookUrl, listWebhooks } from './queries/webhooks.ts'
import type { Secrets } from './secrets.ts'
import type { Store } from './store.ts'

/** The queries that look after tokens, on one store with its secrets. */
export function tokenQueries({ db }: Store, secrets: Secrets) {
  return {
    find: (key: TokenKey) => tokens.findTokens(db, secrets, key),
    claim: (key: TokenKey, claim: Parameters<typeof tokens.claimRenewal>[3]) =>
      tokens.claimRenewal(db, secrets, key, claim),
    storeRenewed: (key: TokenKey, renewed: Parameters<typeof tokens.storeRenewed>[3]) =>
      tokens.storeRenewed(db, secrets, key, renewed),
    release: (key: TokenKey, release: Parameters<typeof tokens.releaseRenewal>[2]) =>
      tokens.releaseRenewal(db, key, release),
    markDead: (key: TokenKey, dead: Parameters<typeof tokens.markTokensDead>[2]) =>
      tokens.markTokensDead(db, key, dead),
    save: (key: TokenKey, pair: TokenPair, now: number) => tokens.saveTokens(db, secrets, key, pair, now),
    spares: (key: TokenKey) => listSpares(db, secrets, key),
    dropSpare: (id: string) => dropSpare(db, id),
    idle: (which: Parameters<typeof tokens.findIdleTokens>[1]) => tokens.findIdleTokens(db, which),
    application: (clientId: string) => findApplication(db, secrets, clientId),
    portal: (memberId: string) => findPortal(db, memberId),
    savePortal: (portal: Portal, now: number) => savePortal(db, portal, now),
    suspend: (memberId: string, how: Parameters<typeof suspendPortal>[2]) => suspendPortal(db, memberId, how),
    resume: (memberId: string, now: number) => resumePortal(db, memberId, now),
    async others({ memberId, clientId, userId }: TokenKey, besides: 'application' | 'user') {
      const all = await tokens.listTokens(db, { memberId })
      const domain = (await findPortal(db, memberId))?.domain ?? memberId
      const hooks = [
        ...(await listWebhooks(db, { portal: memberId })),
        ...(await listWebhooks(db, { portal: domain })),
      ]
      const others = all.filter(
        (one) =>
          one.state === 'active' &&
          (one.clientId !== clientId || (besides === 'user' && one.userId !== userId)),
      )
      return others.length + hooks.length
    },
    lease: async (name: string, owner: string, ttlMs: number) =>
      (await takeLease(db, { name, owner, ttlMs })) !== undefined,
  }
}

/** The queries by which commands find their portal. */
export function portalQueries({ db }: Store, secrets: Secrets) {
  return {
    portal: (name: string) => findPortal(db, name),
    async only() {
      const domains = (await listPortals(db, { limit: 2 })).map(({ domain }) => domain)
      const hooks = domains.length > 1 ? [] : await listWebhooks(db)
      const all = new Set([...domains, ...hooks.map(({ domain }) => domain)])
      return all.size === 1 ? [...all][0] : undefined
    },
    async tokens(memberId: string): Promise<TokenState[]> {
      const [all, isVisitor] = await Promise.all([
        tokens.listTokens(db, { memberId }),
        visitorsOf(db, memberId),
      ])
      return all.map((one) => (isVisitor(one) ? { ...one, visitor: true } : one))
    },
    webhooks: (portal: string) => listWebhooks(db, { portal }),
    webhookUrl: (id: string) => findWebhookUrl(db, secrets, id),
    accessOf: (
      whose: { readonly memberId: string; readonly clientId?: string; readonly userId: string },
      now: number,
    ) => findAccess(db, secrets, whose, now),
    save: (portal: Portal, now: number) => savePortal(db, portal, now),
  }
}

/** The queries of the dead letters, on one store with its secrets. */
export function deadLetterQueries({ db }: Pick<Store, 'db'>, secrets: Secrets) {
  return {
    insert: (letter: DeadLetter, content: LetterContent) => dead.insertLetter(db, secrets, letter, content),
    find: (id: string) => dead.findLetter(db, id),
    content: (id: string) => dead.letterContent(db, secrets, id),
    list: (filter: LetterFilter, page: Parameters<typeof dead.listLetters>[2]) =>
      dead.listLetters(db, filter, page),
    count: (filter: LetterFilter) => dead.countLetters(db, filter),
    claim: (id: string, claim: Parameters<typeof dead.claimLetter>[2]) => dead.claimLetter(db, id, claim),
    settle: (id: string, sent: boolean) => dead.settleLetter(db, id, sent),
    drop: (id: string) => dead.dropLetter(db, id),
  }
}

/** The queries of the ledger, and why the last of them failed, if it did. */
export function ledgerQueries({ db }: Store) {
  let trouble: string | undefined
  const watch = async <T>(work: Promise<T>): Promise<T> => {
    try {
      const result = await work
      trouble = undefined
      return result
    } catch (error) {
      trouble = maskSecrets(error instanceof Error ? error.message : String(error))
      throw error
    }
  }
  return {
    trouble: (): string | undefined => trouble,
    store: {
      find: (keys: readonly string[]) => watch(ledger.findLedgerEntries(db, keys)),
      started: (rows: Parameters<typeof ledger.markStarted>[1]) => watch(ledger.markStarted(db, rows)),
      done: (rows: Parameters<typeof ledger.markDone>[1]) => watch(ledger.markDone(db, rows)),
      again: (key: string, since: number, claim: Parameters<typeof ledger.markAgain>[3]) =>
        watch(ledger.markAgain(db, key, since, claim)),
      anew: (since: number, row: Parameters<typeof ledger.markAnew>[2]) =>
        watch(ledger.markAnew(db, since, row)),
      conclude: (key: string, since: number, end: Parameters<typeof ledger.markConcluded>[3]) =>
        watch(ledger.markConcluded(db, key, since, end)),
      forget: (rows: Parameters<typeof ledger.forget>[1]) => watch(ledger.forget(db, rows)),
    },
  }
}
