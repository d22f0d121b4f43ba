import { CommandError } from './errors.ts'

/** A Bitrix24 account. Its id stays; domain and endpoints are those of today. */
export interface Portal {
  /** `member_id`, our key. */
  readonly memberId: string
  /** Host, with the port where there is one, in lower case: `example.bitrix24.com`. */
  readonly domain: string
  /** Where method calls go: `https://example.bitrix24.com/rest/`. */
  readonly clientEndpoint: string
  /** The authorization server's REST base: `https://oauth.bitrix.info/rest/`. */
  readonly serverEndpoint?: string
  /** Its request limit as a setting writes it (`50/2`, `enterprise`, `off`), where it is known. */
  readonly limit?: string
}

/** What is known of a portal besides. */
export interface KnownPortal extends Portal {
  /** A suspended portal is not called, until `nextTry` or until somebody mends it. */
  readonly state: 'active' | 'suspended'
  readonly reason?: string
  /** Milliseconds since 1970. */
  readonly nextTry?: number
  readonly aliases: readonly string[]
  readonly createdAt: number
  readonly updatedAt: number
}

/** An application on a portal. */
export interface Installation {
  readonly memberId: string
  readonly clientId: string
  /** Status letter: L local, F free, D demo, T trial, P paid, S subscription. */
  readonly status?: string
  readonly scope: readonly string[]
  readonly version?: string
  /** Who installed it. */
  readonly userId?: string
}

/**
 * A portal's domain as people and portals write it: with a scheme, a path, capitals, letters of other scripts. What you
 * get is host and port, in lower case and ASCII. Throws a `CommandError` `DOMAIN_INVALID`.
 */
export function parseDomain(input: string): string {
  const trimmed = input.trim()
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `https://${trimmed}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  const host = url?.hostname ?? ''
  const bad = (why: string): CommandError =>
    new CommandError('DOMAIN_INVALID', `The domain of the portal ${why}.`, {
      hint: 'It is the host name in the address of the portal, such as example.bitrix24.com.',
    })
  if (url === undefined || host === '') throw bad('cannot be read')
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw bad('is not one of a web site')
  if (url.username !== '' || url.password !== '') throw bad('has a user name in front')
  const known =
    host === 'localhost' || /^\[[\da-f:.]+\]$/.test(host) || /^[a-z\d]([a-z\d.-]*[a-z\d])?$/.test(host)
  if (!known || host.includes('..') || host.length > 253) throw bad('is not a host name')
  if (host !== 'localhost' && !host.startsWith('[') && !host.includes('.')) throw bad('has no dot')
  return url.host
}
