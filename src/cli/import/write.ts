import { addApplicationToken, findApplicationToken } from '../../stores/queries/application-tokens.ts'
import {
  findApplication,
  listInstallations,
  saveApplication,
  saveInstallation,
} from '../../stores/queries/applications.ts'
import { findPortal, resumePortal, savePortal } from '../../stores/queries/portals.ts'
import { findTokens, saveTokens } from '../../stores/queries/tokens.ts'
import { inTransaction } from '../../stores/queries/transaction.ts'
import type { Vault } from '../vault.ts'
import type { RowPlan } from './plan.ts'
import type { ImportRow } from './simple-api.ts'

/**
 * Compares a row with the store and changes nothing. What the store has is newer than the table and stays: its pairs
 * have been renewed since, and the refresh token of the table is dead by then.
 */
export async function planRow(
  { db, secrets }: Pick<Vault, 'db' | 'secrets'>,
  row: ImportRow,
): Promise<RowPlan> {
  const { memberId, clientId, clientSecret, userId, applicationToken } = row
  const application = await findApplication(db, secrets, clientId)
  const portal = await findPortal(db, memberId)
  const tokens = await findTokens(db, secrets, { memberId, clientId, userId })
  const installations = await listInstallations(db, memberId)
  const isNewToken =
    applicationToken !== undefined &&
    (await findApplicationToken(db, secrets, memberId, applicationToken)) === undefined
  return {
    row,
    application:
      application === undefined
        ? 'new'
        : application.clientSecret === clientSecret
          ? 'known'
          : 'other secret',
    portal: portal?.memberId === memberId ? 'known' : 'new',
    tokens:
      tokens === undefined
        ? 'new'
        : tokens.state === 'dead' && tokens.refreshToken !== row.refreshToken
          ? 'again'
          : 'known',
    installation: installations.some((one) => one.clientId === clientId) ? 'known' : 'new',
    applicationToken: applicationToken === undefined ? 'none' : isNewToken ? 'new' : 'known',
  }
}

/** Writes one row, in one transaction: what is new, and only that. Repeating it changes nothing. */
export async function writeRow(vault: Vault, row: ImportRow, now: number): Promise<RowPlan> {
  const { secrets } = vault
  const { memberId, domain, clientEndpoint, clientId, clientSecret, userId } = row
  return inTransaction(vault.db, async (db) => {
    const plan = await planRow({ db, secrets }, row)
    if (plan.application === 'new')
      await saveApplication(db, secrets, { clientId, name: clientId, clientSecret }, now)
    if (plan.portal === 'new') await savePortal(db, { memberId, domain, clientEndpoint }, now)
    if (plan.installation === 'new')
      await saveInstallation(db, { memberId, clientId, scope: [], ...(userId !== '' && { userId }) }, now)
    if (plan.tokens !== 'known') {
      const { accessToken, refreshToken } = row
      await saveTokens(db, secrets, { memberId, clientId, userId }, { accessToken, refreshToken }, now)
      // It was suspended for the pair that is gone now; the next call tells whether the new one is better.
      if (plan.tokens === 'again') await resumePortal(db, memberId, now)
    }
    if (plan.applicationToken === 'new' && row.applicationToken !== undefined) {
      const label = 'simple-api'
      await addApplicationToken(db, secrets, { memberId, clientId, label, token: row.applicationToken }, now)
    }
    return plan
  })
}
