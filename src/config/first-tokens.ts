import type { Variables } from './older.ts'

/** An application and its refresh token as the older program bitrix24-bridge had them in its environment. */
export interface FirstTokens {
  readonly domain: string
  readonly clientId: string
  readonly clientSecret: string
  readonly refreshToken: string
}

/**
 * The application of `BITRIX24_CLIENT_ID` and its tokens, when all that is needed is there. They count for a store that
 * knows no portal yet: a refresh token is good for one time, and from then on the store has the newer one.
 */
export function firstTokens(variables: Variables): FirstTokens | undefined {
  const text = (name: string): string => variables.get(name)?.text.trim() ?? ''
  const domain = text('BITRIX24_DOMAIN')
  const clientId = text('BITRIX24_CLIENT_ID')
  const clientSecret = text('BITRIX24_CLIENT_SECRET')
  const refreshToken = text('BITRIX24_REFRESH_TOKEN')
  if ([domain, clientId, clientSecret, refreshToken].includes('')) return undefined
  return { domain, clientId, clientSecret, refreshToken }
}
