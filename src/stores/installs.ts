import { randomUUID } from 'node:crypto'
import type { Kysely } from 'kysely'
import type { Installation, Portal } from '../model/portal.ts'
import type { TokenKey, TokenPair } from '../model/token.ts'
import {
  addApplicationToken,
  findApplicationToken,
  listApplicationTokens,
} from './queries/application-tokens.ts'
import {
  findApplication,
  listApplications,
  listInstallations,
  removeInstallation,
  saveApplication,
  saveInstallation,
} from './queries/applications.ts'
import { forgetCursors } from './queries/cursors.ts'
import { takeLease } from './queries/leases.ts'
import { forgetSource } from './queries/offline-pumps.ts'
import {
  findPortal,
  listPortals,
  removePortal,
  resumePortal,
  savePortal,
  suspendPortal,
} from './queries/portals.ts'
import { listTokens, markTokensDead, saveTokens } from './queries/tokens.ts'
import { inTransaction } from './queries/transaction.ts'
import { forgetVisitor, noteVisitor } from './queries/visitors.ts'
import { listWebhooks } from './queries/webhooks.ts'
import type { StoreTables } from './schema.ts'
import type { Secrets } from './secrets.ts'

/** Everything that one installation leaves behind. */
interface Install {
  readonly portal: Portal
  readonly installation: Installation
  readonly tokens: { readonly key: TokenKey; readonly pair: TokenPair }
  readonly applicationToken?: string
  /** The user is no administrator: the installation stays that of who made it. */
  readonly visitor?: true
}

interface Uninstall {
  readonly memberId: string
  readonly clientId: string
  readonly clean: boolean
  readonly reason: string
  readonly now: number
}

/** The store as `bridge/installs` wants it: what belongs together is written in one transaction. */
export function installRecords(db: Kysely<StoreTables>, secrets: Secrets) {
  return {
    findApplication: (clientId: string) => findApplication(db, secrets, clientId),
    saveApplication: (
      application: { readonly clientId: string; readonly clientSecret: string },
      now: number,
    ) => saveApplication(db, secrets, { ...application, name: application.clientId }, now),
    listApplications: () => listApplications(db),
    findPortal: (name: string) => findPortal(db, name),
    listPortals: (page: { readonly after?: string; readonly limit?: number }) => listPortals(db, page),
    listInstallations: (memberId: string) => listInstallations(db, memberId),
    listTokens: (memberId: string) => listTokens(db, { memberId }),
    listApplicationTokens: (memberId: string) => listApplicationTokens(db, memberId),
    findApplicationToken: (memberId: string, token: string) =>
      findApplicationToken(db, secrets, memberId, token),
    saveInstall: (install: Install, now: number) =>
      inTransaction(db, (transaction) => saveInstall(transaction, secrets, install, now)),
    savePortal: (portal: Portal, now: number) => savePortal(db, portal, now),
    uninstall: (gone: Uninstall) =>
      inTransaction(db, (transaction) =>
        forgetPlaces(transaction, gone).then(() =>
          gone.clean ? forget(transaction, gone) : endTokens(transaction, gone),
        ),
      ),
    removePortal: (memberId: string) => removePortal(db, memberId),
    sign: (text: string) => secrets.fingerprint(text),
    async claimOnce(name: string, { ttlMs, now }: { readonly ttlMs: number; readonly now: number }) {
      const prefix = `${name.slice(0, name.indexOf('/') + 1)}%`
      const past = db.deleteFrom('leases').where('name', 'like', prefix).where('until', '<=', now)
      // Housekeeping; the next one does it when several meet here.
      await past.execute().catch(() => undefined)
      return (await takeLease(db, { name, owner: randomUUID(), ttlMs, now })) !== undefined
    },
  }
}

async function saveInstall(
  db: Kysely<StoreTables>,
  secrets: Secrets,
  { portal, installation, tokens, applicationToken, visitor }: Install,
  now: number,
): Promise<void> {
  await savePortal(db, portal, now)
  if (visitor === true) await saveNews(db, installation, tokens.key, now)
  else {
    await saveInstallation(db, installation, now)
    await forgetVisitor(db, tokens.key)
  }
  await saveTokens(db, secrets, tokens.key, tokens.pair, now)
  if (applicationToken !== undefined) {
    const { memberId, clientId } = installation
    await removeApplicationTokens(db, installation)
    await addApplicationToken(
      db,
      secrets,
      { memberId, clientId, label: 'application', token: applicationToken },
      now,
    )
  }
  await resumePortal(db, portal.memberId, now)
}

/** How far its events were read: the portal has forgotten its queues, and channels are new after an installation. */
async function forgetPlaces(
  db: Kysely<StoreTables>,
  { memberId, clientId }: Pick<Uninstall, 'memberId' | 'clientId'>,
): Promise<void> {
  await forgetCursors(db, `push/${memberId}/${clientId}`)
  await forgetSource(db, { memberId, clientId })
}

/** What changed of an installation, told by somebody who may not install: who made it stays. */
async function saveNews(
  db: Kysely<StoreTables>,
  installation: Installation,
  key: TokenKey,
  now: number,
): Promise<void> {
  const { memberId, clientId } = key
  const known = (await listInstallations(db, memberId)).find((one) => one.clientId === clientId)
  const { userId: _, ...told } = installation
  await saveInstallation(db, known?.userId === undefined ? told : { ...told, userId: known.userId }, now)
  const own = (await listTokens(db, { memberId, clientId })).some(({ userId }) => userId === key.userId)
  if (!own) await noteVisitor(db, key)
}

/** The application was removed: nothing of it proves or opens anything any more. */
async function endTokens(
  db: Kysely<StoreTables>,
  { memberId, clientId, reason, now }: Uninstall,
): Promise<void> {
  const tokens = await listTokens(db, { memberId })
  for (const { version, ...key } of tokens.filter((one) => one.clientId === clientId)) {
    await markTokensDead(db, key, { version, reason })
  }
  await db
    .deleteFrom('spare_tokens')
    .where('member_id', '=', memberId)
    .where('client_id', '=', clientId)
    .execute()
  await removeApplicationTokens(db, { memberId, clientId })
  const others = tokens.some((one) => one.clientId !== clientId && one.state === 'active')
  if (!others && !(await hasWebhook(db, memberId))) {
    await suspendPortal(db, memberId, { reason, now })
  }
}

async function forget(
  db: Kysely<StoreTables>,
  { memberId, clientId, reason, now }: Uninstall,
): Promise<void> {
  await removeInstallation(db, { memberId, clientId })
  const tokens = await listTokens(db, { memberId })
  if (await hasWebhook(db, memberId)) return
  if (tokens.length === 0 && (await listInstallations(db, memberId)).length === 0) {
    await removePortal(db, memberId)
  } else if (!tokens.some(({ state }) => state === 'active')) {
    await suspendPortal(db, memberId, { reason, now })
  }
}

/** Webhooks know their portal's domain, and mostly its id. */
async function hasWebhook(db: Kysely<StoreTables>, memberId: string): Promise<boolean> {
  const domain = (await findPortal(db, memberId))?.domain ?? memberId
  const [byId, byDomain] = [
    await listWebhooks(db, { portal: memberId }),
    await listWebhooks(db, { portal: domain }),
  ]
  return byId.length + byDomain.length > 0
}

async function removeApplicationTokens(
  db: Kysely<StoreTables>,
  { memberId, clientId }: { readonly memberId: string; readonly clientId: string },
): Promise<void> {
  await db
    .deleteFrom('application_tokens')
    .where('member_id', '=', memberId)
    .where('client_id', '=', clientId)
    .execute()
}
