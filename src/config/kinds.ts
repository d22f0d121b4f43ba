import { parseRequestLimit, type RequestLimit } from '../model/limits.ts'
import { maskWebhook, parseWebhook, type Webhook } from '../model/webhook.ts'

/** What became of the text of a setting: a value, or the end of a sentence that begins with the setting's name. */
export type Parsed<T> = { readonly value: T } | { readonly fault: string }

/** A kind of setting: how its text is read and shown. */
export interface Kind<T> {
  /** Ends the sentence "it must be …": `a whole number from 1`. */
  readonly is: string
  parse(text: string): Parsed<T>
  /** The value for people, without any secret. */
  show(value: T): string
}

/** Where messages come from and go to. */
export type BrokerAddress =
  | { readonly kind: 'embedded' }
  | { readonly kind: 'amqp' /** Holds the password; never print it. */; readonly url: string }

/** Where the HTTP server listens; port 0 takes any free one. */
export interface HttpAddress {
  readonly host: string
  readonly port: number
}

/** Scheme and host of a portal, and the path in front of `/{user}/{secret}`. */
export interface RestRoot {
  readonly origin: string
  /** Host and port. */
  readonly domain: string
  readonly root: string
}

/** Any text. */
export const text: Kind<string> = simple('text', (input) => input)

/** The name of a queue or exchange. */
export const name: Kind<string> = simple('a name of up to 255 bytes', (input) =>
  Buffer.byteLength(input) <= 255 ? input : undefined,
)

/** A text that is never shown. */
export const secret: Kind<string> = {
  is: 'a secret text without spaces, best made with `openssl rand -hex 24`',
  parse: (input) => (/^\S+$/.test(input) ? { value: input } : { fault: `must be ${secret.is}` }),
  show: () => 'set',
}

/** Yes or no, in the ways people write it. */
export const boolean: Kind<boolean> = simple('true or false', (input) => {
  const word = input.toLowerCase()
  if (['true', '1', 'yes', 'y', 'on', 't'].includes(word)) return true
  return ['false', '0', 'no', 'n', 'off', 'f'].includes(word) ? false : undefined
})

/** A whole number within bounds. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): Kind<number> {
  return simple(`a whole number ${bounds(min, max)}`, (input) => {
    const value = /^\d+$/.test(input) ? Number(input) : Number.NaN
    return value >= min && value <= max ? value : undefined
  })
}

/** A number within bounds; fractions are welcome. */
export function number(min: number, max = Number.MAX_SAFE_INTEGER): Kind<number> {
  return simple(`a number ${bounds(min, max)}`, (input) => {
    const value = /^\d+(\.\d+)?$/.test(input) ? Number(input) : Number.NaN
    return value >= min && value <= max ? value : undefined
  })
}

/** One of some words; upper and lower case are the same. */
export function choice<const W extends string>(...words: readonly W[]): Kind<W> {
  return simple(`one of ${words.join(', ')}`, (input) =>
    words.find((word) => word === input.trim().toLowerCase()),
  )
}

/** Host names separated by commas; `*` and the literal `['*']` mean any. */
export const hosts: Kind<readonly string[]> = {
  is: 'host names separated by commas, or *',
  parse: (input) => {
    const names = input.replace(/^\[|\]$/g, '').split(',')
    return {
      value: names.map((one) => one.trim().replace(/^(['"])(.*)\1$/, '$2')).filter((one) => one !== ''),
    }
  },
  show: (value) => value.join(','),
}

/** `embedded`, or the address of RabbitMQ; several addresses of one cluster stand with commas between them. */
export const broker: Kind<BrokerAddress> = {
  is: '`embedded` or an address such as amqp://user:password@host:5672/vhost',
  parse: (input) => {
    const trimmed = input.trim()
    if (trimmed.toLowerCase() === 'embedded') return { value: { kind: 'embedded' } }
    const valid = trimmed
      .split(',')
      .every((one) => /^amqps?:\/\/./i.test(one.trim()) && URL.canParse(one.trim()))
    return valid
      ? { value: { kind: 'amqp', url: trimmed } }
      : { fault: `must be ${broker.is} (in a password write @ : / and comma as %40 %3A %2F %2C)` }
  },
  show: (value) => {
    if (value.kind === 'embedded') return 'embedded'
    return value.url
      .split(',')
      .map((one) => maskUrl(one.trim()))
      .join(',')
  },
}

/** A file of the embedded database, or a database on a server. Never repeated: it may hold a password. */
export const store: Kind<string> = {
  is: 'sqlite: and a file, such as sqlite:./data/bridge.db, or an address such as postgres://user:password@host/database (also mysql, mariadb, mssql)',
  parse: (input) => {
    const known =
      /^sqlite:./.test(input) || /^(?:postgres(?:ql)?|mysql|mariadb|mssql|sqlserver):\/\/./i.test(input)
    return known ? { value: input } : { fault: `must be ${store.is}` }
  },
  show: (value) => (value.startsWith('sqlite:') ? value : maskUrl(value)),
}

/** What proves calls to an isolated portal; never shown. */
export const parameters: Kind<Readonly<Record<string, string>>> = {
  is: 'parameters with secret values, written like name=value&other=value',
  parse(input) {
    const params = Object.fromEntries(new URLSearchParams(input))
    const good =
      Object.keys(params).length > 0 &&
      Object.entries(params).every(([name, value]) => /^\w+$/.test(name) && value !== '')
    return good ? { value: params } : { fault: `must be ${parameters.is}` }
  },
  show: () => 'set',
}

/** Keys that seal, `name:base64`, the active one first. */
export const secretKeys: Kind<string> = {
  is: 'one or several keys such as k1:… with commas between them, the active one first, each a name and 32 bytes in base64: `echo "k1:$(openssl rand -base64 32)"`',
  parse: (input) => {
    const keys = input.split(',').map((one) => one.trim())
    const good = keys.every((key) => {
      const base64 = /^[A-Za-z\d-]{1,32}:([A-Za-z\d+/_-]+={0,2})$/.exec(key)?.[1]
      return base64 !== undefined && Buffer.from(base64, 'base64').length === 32
    })
    return good ? { value: keys.join(',') } : { fault: `must be ${secretKeys.is}` }
  },
  show: () => 'set',
}

/** Origins of authorization servers. */
export const origins: Kind<readonly string[]> = {
  is: 'addresses of servers such as https://oauth.example.com, separated by commas',
  parse: (input) => {
    const urls = input.split(',').filter((one) => one.trim() !== '')
    const value = urls.map((one) => originOf(one.trim()) ?? '')
    return value.includes('') || value.length === 0 ? { fault: `must be ${origins.is}` } : { value }
  },
  show: (value) => value.join(','),
}

/** The URL of an incoming webhook. */
export const webhook: Kind<Webhook> = {
  is: 'the URL of an incoming webhook, such as https://example.bitrix24.com/rest/1/abc123def456/',
  parse: (input) => {
    try {
      return { value: parseWebhook(input) }
    } catch (error) {
      const why = error instanceof Error ? error.message.replace(/^The webhook address /, '') : 'is wrong.'
      return { fault: `${why.replace(/\.$/, '')}; it must be ${webhook.is}` }
    }
  },
  show: maskWebhook,
}

/** The REST address of a portal without user and secret, such as `https://example.bitrix24.com/rest/`. */
export const restRoot: Kind<RestRoot> = {
  is: 'the REST address of a portal without user and secret, such as https://example.bitrix24.com/rest/',
  parse: (input) => {
    const url = URL.canParse(input.trim()) ? new URL(input.trim()) : undefined
    const root = url?.pathname.replace(/\/{2,}/g, '/').replace(/\/$/, '') ?? ''
    if (url === undefined || !/^https?:$/.test(url.protocol) || !root.endsWith('/rest') || url.search !== '')
      return { fault: `must be ${restRoot.is}` }
    return { value: { origin: url.origin, domain: url.host.toLowerCase(), root } }
  },
  show: (value) => `${value.origin}${value.root}/`,
}

/** An address with https that others are given; plain http only for a sandbox on this machine. No slash at its end. */
export const publicUrl: Kind<string> = {
  is: 'an https:// address without query and user name, such as https://bridge.example (http:// only on this machine)',
  parse: (input) => {
    const value = publicAddress(input.trim())
    return value === undefined ? { fault: `must be ${publicUrl.is}` } : { value }
  },
  show: String,
}

/** A folder of pages, and pages that are kept elsewhere by name. */
export interface PageSources {
  readonly folder?: string
  readonly addresses: Readonly<Record<string, string>>
}

/** A folder, or `name=address` separated by commas; both may stand together. */
export const pages: Kind<PageSources> = {
  is: 'a folder, or names with addresses such as deal-tab=https://app.example/deal, separated by commas',
  parse: (input) => {
    const parts = input.split(',').map((one) => one.trim())
    const addresses: Record<string, string> = {}
    const folders: string[] = []
    for (const part of parts) {
      const [, name, address] = /^([a-z\d][a-z\d_-]{0,63})=(https?:.+)$/i.exec(part) ?? []
      const url = address === undefined ? undefined : publicAddress(address, true)
      if (name === undefined) folders.push(part)
      else if (url === undefined) return { fault: `must be ${pages.is}; ${name} has no https:// address` }
      else addresses[name] = url
    }
    const [folder] = folders
    if (folders.length > 1 || folder === '') return { fault: `must be ${pages.is}` }
    return { value: { addresses, ...(folder === undefined ? {} : { folder }) } }
  },
  show: ({ folder, addresses }) =>
    [
      ...(folder === undefined ? [] : [folder]),
      ...Object.entries(addresses).map(([name, address]) => `${name}=${maskUrl(address)}`),
    ].join(','),
}

/** The portal's request limit; `null` is none. */
export const limits: Kind<RequestLimit | null> = {
  is: 'standard, enterprise, off, or capacity/requests a second such as 50/2',
  parse: (input) => {
    const value = parseRequestLimit(input)
    return value === undefined ? { fault: `must be ${limits.is}, not "${input}"` } : { value }
  },
  show: (value) => (value === null ? 'off' : `${value.capacity}/${value.drainPerSecond}`),
}

/** `host:port`, `[::1]:port` or a port alone. */
export const http: Kind<HttpAddress> = {
  is: 'host:port such as 127.0.0.1:8000 (port 0 takes a free one)',
  parse: (input) => {
    const match = /^(?:(\[[\da-f:.]+\]|[^\s:/[\]]+):)?(\d{1,5})$/i.exec(input.trim())
    const port = Number(match?.[2])
    if (match === null || port > 65535) return { fault: `must be ${http.is}, not "${input}"` }
    return { value: { host: (match[1] ?? '127.0.0.1').replace(/^\[|\]$/g, ''), port } }
  },
  show: (value) => `${value.host.includes(':') ? `[${value.host}]` : value.host}:${value.port}`,
}

/** An address for people: no password, no query. */
export function maskUrl(address: string): string {
  if (!URL.canParse(address)) return '•••'
  const url = new URL(address)
  const user = url.username === '' ? '' : `${url.username}${url.password === '' ? '' : ':•••'}@`
  return `${url.protocol}//${user}${url.host}${url.pathname}${url.search === '' ? '' : '?•••'}`
}

function publicAddress(text: string, withQuery = false): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || `${url.username}${url.password}${url.hash}` !== '') return undefined
  const here = url.hostname === 'localhost' || url.hostname === '[::1]' || /^127\./.test(url.hostname)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && here)) return undefined
  if (withQuery) return url.href
  return url.search === '' ? `${url.origin}${url.pathname.replace(/\/+$/, '')}` : undefined
}

function originOf(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const bare = url !== undefined && /^https?:$/.test(url.protocol) && /^\/?$/.test(url.pathname)
  return bare && url.username === '' && url.search === '' ? url.origin : undefined
}

function bounds(min: number, max: number): string {
  return max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`
}

/** A kind without secrets, whose fault may repeat what was written. */
function simple<T>(is: string, read: (input: string) => T | undefined): Kind<T> {
  return {
    is,
    parse: (input) => {
      const value = read(input.trim())
      return value === undefined ? { fault: `must be ${is}, not "${input.slice(0, 60)}"` } : { value }
    },
    show: String,
  }
}
