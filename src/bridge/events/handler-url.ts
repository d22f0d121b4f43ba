import { timingSafeEqual } from 'node:crypto'
import { ConfigError } from '../../model/errors.ts'

/** A signature under a key that never leaves the store and is the same for every process. */
export type Sign = (text: string) => string

/** Where portals post what happened. */
export const EVENTS_PATH = '/b24/events'

/** Of the 64 hexadecimal digits of a signature; 128 bits are enough, and addresses of handlers have a bound. */
const KEY_LENGTH = 32
/** https://apidocs.bitrix24.com/api-reference/events/event-bind.html */
const LONGEST_URL = 255

/**
 * The address to give to a portal for its events, robots and message providers: `{base}/b24/events?portal=…&key=…`. The
 * key proves the origin of calls that carry no application token. It is the same for a portal as long as the store
 * lives, so binding twice gives the same address.
 *
 * `base` is where the bridge can be reached from outside, with a path if a proxy adds one. Throws a `ConfigError` for
 * one that is no http(s) address, carries a query or credentials, or would make the address longer than portals take.
 */
export function handlerUrl(base: string, memberId: string, sign: Sign): string {
  const url = URL.canParse(base) ? new URL(base) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) throw wrongBase('is not an http(s) address')
  if (url.search !== '' || url.hash !== '') throw wrongBase('has a query or a fragment')
  if (url.username !== '' || url.password !== '') throw wrongBase('holds credentials')
  url.pathname = `${url.pathname.replace(/\/+$/, '')}${EVENTS_PATH}`
  url.searchParams.set('portal', memberId)
  url.searchParams.set('key', handlerKey(memberId, sign))
  if (url.href.length > LONGEST_URL) throw wrongBase('is too long: portals take handlers of 255 characters')
  return url.href
}

/** True when the key is the portal's; takes as long for any key of the right length. */
export function isHandlerKey(memberId: string, key: string, sign: Sign): boolean {
  const wanted = Buffer.from(handlerKey(memberId, sign))
  const given = Buffer.from(key)
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

function handlerKey(memberId: string, sign: Sign): string {
  return sign(`handler/${memberId}`).slice(0, KEY_LENGTH)
}

function wrongBase(why: string): ConfigError {
  return new ConfigError([`The public address of the bridge ${why}.`], {
    hint: 'Give the address by which portals reach the bridge, for example https://bridge.example.com.',
  })
}
