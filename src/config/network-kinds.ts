import { isIP } from 'node:net'
import type { Kind } from './kinds.ts'

/** Addresses of lists that are fetched, separated by commas. */
export const urls: Kind<readonly string[]> = listOf(
  'https:// addresses separated by commas (http:// only on this machine)',
  (one) =>
    URL.canParse(one) && /^(?:https:\/\/|http:\/\/(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])[:/])/.test(one),
)

/** IP addresses and networks such as `10.0.0.0/8`, separated by commas. */
export const networks: Kind<readonly string[]> = listOf(
  'IP addresses or networks such as 10.0.0.0/8, separated by commas',
  (one) => {
    const [address = '', bits, ...more] = one.split('/')
    const version = isIP(address)
    if (version === 0 || more.length > 0) return false
    return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
  },
)

/** True when others than this machine's programs can reach the address. */
export function isOutside({ host }: { readonly host: string }): boolean {
  return !['127.0.0.1', 'localhost', '::1'].includes(host)
}

function listOf(is: string, fits: (one: string) => boolean): Kind<readonly string[]> {
  return {
    is,
    parse(input) {
      const value = input
        .split(',')
        .map((one) => one.trim())
        .filter((one) => one !== '')
      return value.length > 0 && value.every(fits) ? { value } : { fault: `must be ${is}` }
    },
    show: (value) => value.join(','),
  }
}
