import type { TokenKey, TokenPair } from '../../model/token.ts'
import type { Sealer } from '../seal.ts'

/** Portal, application and user in one text. */
export function tokenId({ memberId, clientId, userId }: TokenKey): string {
  return [memberId, clientId, userId].map(encodeURIComponent).join('/')
}

/** The columns of a pair, sealed. */
export function pairColumns(
  sealer: Sealer,
  table: 'tokens' | 'spare_tokens',
  row: string,
  pair: TokenPair,
): { access_token: string; refresh_token: string | null; expires_at: number | null } {
  const { accessToken, refreshToken, expiresAt } = pair
  return {
    access_token: sealer.seal({ table, row, column: 'access_token' }, accessToken),
    refresh_token:
      refreshToken === undefined ? null : sealer.seal({ table, row, column: 'refresh_token' }, refreshToken),
    expires_at: expiresAt ?? null,
  }
}

/** The pair again. */
export function openPair(
  sealer: Sealer,
  table: 'tokens' | 'spare_tokens',
  row: { readonly id: string; readonly access_token: string; readonly refresh_token: string | null },
): Pick<TokenPair, 'accessToken' | 'refreshToken'> {
  const { id, access_token, refresh_token } = row
  return {
    accessToken: sealer.open({ table, row: id, column: 'access_token' }, access_token),
    ...(refresh_token === null
      ? {}
      : { refreshToken: sealer.open({ table, row: id, column: 'refresh_token' }, refresh_token) }),
  }
}

/** Whose tokens, as columns. */
export function keyColumns({ memberId, clientId, userId }: TokenKey): {
  member_id: string
  client_id: string
  user_id: string
} {
  return { member_id: memberId, client_id: clientId, user_id: userId }
}

/** Words as one text. */
export function joined(words: readonly string[] | undefined): string {
  return (words ?? []).join(',')
}

/** Words from one text. */
export function words(text: string): string[] {
  return text === '' ? [] : text.split(',')
}
