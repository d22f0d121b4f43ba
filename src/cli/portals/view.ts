import type { Json, JsonObject } from '../../model/json.ts'
import type { TokenState } from '../../model/token.ts'
import type { KnownWebhook } from '../../stores/queries/webhooks.ts'
import { ageText, tableLines } from '../table.ts'
import type { PortalEntry } from './known.ts'

/** A portal for programs. Of secrets it says whether they are set. */
export function portalJson({ domain, portal, tokens, webhooks }: PortalEntry): JsonObject {
  return {
    domain,
    memberId: portal?.memberId ?? null,
    state: portal?.state ?? 'active',
    reason: portal?.reason ?? null,
    nextTry: time(portal?.nextTry),
    aliases: [...(portal?.aliases ?? [])],
    clientEndpoint: portal?.clientEndpoint ?? null,
    serverEndpoint: portal?.serverEndpoint ?? null,
    limit: portal?.limit ?? null,
    tokens: tokens.map(tokenJson),
    webhooks: webhooks.map(webhookJson),
  }
}

function tokenJson(token: TokenState): Json {
  return {
    clientId: token.clientId,
    userId: token.userId === '' ? null : token.userId,
    state: token.state,
    reason: token.reason ?? null,
    accessToken: 'set',
    refreshToken: token.hasRefreshToken ? 'set' : 'not set',
    expiresAt: time(token.expiresAt),
    renewedAt: time(token.renewedAt),
    status: token.status ?? null,
    scope: [...token.scope],
    version: token.version,
  }
}

function webhookJson({ id, userId, name, createdAt }: KnownWebhook): Json {
  return { id, userId, name, url: 'set', createdAt: time(createdAt) }
}

/** All portals for people. */
export function listLines(entries: readonly PortalEntry[], now: number): string[] {
  if (entries.length === 0) return ['No portal is known yet; `b24-bridge portals add` adds one.']
  return tableLines(
    ['DOMAIN', 'MEMBER ID', 'STATE', 'WAYS', 'TOKENS'],
    entries.map((entry) => [
      entry.domain,
      entry.portal?.memberId ?? '-',
      stateText(entry),
      waysText(entry),
      tokensText(entry.tokens, now),
    ]),
  )
}

/** One portal for people. */
export function showLines(entry: PortalEntry, applicationTokens: readonly string[], now: number): string[] {
  const { domain, portal, tokens, webhooks } = entry
  const facts: [name: string, value: string | undefined][] = [
    ['domain', domain],
    ['member id', portal?.memberId ?? 'not known: webhooks do not tell it'],
    ['state', stateText(entry)],
    ['next try', time(portal?.nextTry) ?? undefined],
    ['aliases', portal?.aliases.join(', ')],
    ['calls go to', portal?.clientEndpoint],
    ['tokens come from', portal === undefined ? undefined : (portal.serverEndpoint ?? "the cloud's server")],
    ['limit', portal?.limit],
    [
      'application tokens',
      applicationTokens.length === 0 ? 'not set' : `set (${applicationTokens.join(', ')})`,
    ],
  ]
  const lines = tableLines(
    ['', ''],
    facts.flatMap(([name, value]) => (value === undefined || value === '' ? [] : [[name, value]])),
  ).slice(1)
  return [
    ...lines,
    ...titled(
      tableLines(
        ['APPLICATION', 'USER', 'STATE', 'ACCESS TOKEN', 'REFRESH TOKEN', 'AGE', 'SCOPE'],
        tokens.map((token) => [
          token.clientId,
          token.userId === '' ? '-' : token.userId,
          token.state === 'dead' ? `dead: ${token.reason ?? 'no reason known'}` : 'active',
          `set, ${expiryText(token, now)}`,
          token.hasRefreshToken ? 'set' : 'not set',
          ageText(now - token.renewedAt),
          token.scope.join(','),
        ]),
      ),
    ),
    ...titled(
      tableLines(
        ['WEBHOOK', 'USER', 'ADDRESS', 'AGE'],
        webhooks.map(({ name, userId, createdAt }) => [name, userId, 'set', ageText(now - createdAt)]),
      ),
    ),
  ]
}

function titled(table: readonly string[]): string[] {
  return table.length === 0 ? [] : ['', ...table]
}

function stateText({ portal, tokens }: PortalEntry): string {
  if (portal?.state === 'suspended') return `suspended: ${portal.reason ?? 'no reason known'}`
  if (tokens.length > 0 && tokens.every((token) => token.state === 'dead')) return 'tokens dead'
  return 'active'
}

function waysText({ tokens, webhooks }: PortalEntry): string {
  const users = new Map<string, number>()
  for (const { clientId } of tokens) users.set(clientId, (users.get(clientId) ?? 0) + 1)
  const applications = [...users].map(([clientId, count]) =>
    count === 1 ? clientId : `${clientId} (${count} users)`,
  )
  const hooks = webhooks.map(({ userId }) => `webhook of user ${userId}`)
  return [...applications, ...hooks].join(', ') || 'none'
}

/** The oldest pair says how soon a refresh token may come to its end. */
function tokensText(tokens: readonly TokenState[], now: number): string {
  if (tokens.length === 0) return '-'
  return `${ageText(now - Math.min(...tokens.map((token) => token.renewedAt)))} old`
}

function expiryText({ expiresAt }: TokenState, now: number): string {
  if (expiresAt === undefined) return 'end unknown'
  return expiresAt <= now ? 'expired' : `${ageText(expiresAt - now)} left`
}

function time(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString()
}
