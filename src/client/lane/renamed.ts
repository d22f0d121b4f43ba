import { type BridgeError, RestError } from '../../model/errors.ts'

/**
 * The origin that a redirect of a renamed portal names. The path of the redirect is not used.
 *
 * Throws a `RestError` `PORTAL_MOVED` unless the new host belongs to the same family as the old one, because the
 * repeated request carries the credential: both names of the Bitrix24 cloud, both under one domain, or both
 * loopback.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/change-domen.html
 */
export function movedOrigin(oldOrigin: string, location: string | undefined): string {
  const from = new URL(oldOrigin)
  if (location === undefined || !URL.canParse(location, oldOrigin)) throw moved(from.host, undefined)
  const to = new URL(location, oldOrigin)
  if (to.origin === from.origin) throw moved(from.host, to.host)
  if (to.protocol !== from.protocol || !sameFamily(from.hostname, to.hostname))
    throw moved(from.host, to.host)
  return to.origin
}

/** Hosts of the cloud: `name.bitrix24.com`, `name.bitrix24.ru`, `name.bitrix24.com.br`. */
const CLOUD = /(?:^|\.)bitrix24\.[a-z]{2,6}(?:\.[a-z]{2})?$/
const LOOPBACK = /^(?:127\.\d+\.\d+\.\d+|localhost|\[::1\])$/

function sameFamily(a: string, b: string): boolean {
  if (CLOUD.test(a) && CLOUD.test(b)) return true
  if (LOOPBACK.test(a) || LOOPBACK.test(b)) return LOOPBACK.test(a) && LOOPBACK.test(b)
  const parent = (host: string): string => host.split('.').slice(1).join('.')
  return parent(a) === parent(b) && parent(a).includes('.')
}

/** The error for a portal whose new address redirects too: one move is followed, a chain of them is not. */
export function movedAgain(origin: string): BridgeError {
  return moved(new URL(origin).host, undefined)
}

function moved(from: string, to: string | undefined): BridgeError {
  const where = to === undefined ? 'without saying where to in the end' : `to ${to}`
  return new RestError('PORTAL_MOVED', `${from} redirects ${where}`, 302, {
    hint: 'If the portal was renamed, set its new address; we do not send credentials to a foreign host.',
  })
}
