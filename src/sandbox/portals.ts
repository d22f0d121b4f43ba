import type { EventParts } from './apps/events.ts'
import type { Settings } from './options.ts'
import { Portal } from './portal.ts'

/** Where a request's host name leads: to a portal, or to the host that it has moved to. */
export type Destination = { readonly portal: Portal } | { readonly movedTo: string }

/** The portals of a sandbox by host name, made when first asked for. */
export class Portals {
  readonly #byHost = new Map<string, Portal>()
  readonly #moved = new Map<string, string>()
  readonly #settings: Settings
  readonly #now: () => number
  readonly #parts: EventParts
  readonly #url: string
  readonly #home: string

  /** `url` is the sandbox's own address. */
  constructor(settings: Settings, now: () => number, parts: EventParts, url: string) {
    this.#settings = settings
    this.#now = now
    this.#parts = parts
    this.#url = url
    this.#home = homeOf(settings.host)
  }

  /** The portal of a host name, which may come with a port; without a name the sandbox's own. */
  at(host: string | undefined): Destination {
    const name = this.#nameOf(host)
    const movedTo = this.#moved.get(name)
    return movedTo === undefined ? { portal: this.#open(name) } : { movedTo }
  }

  /** Like `at`, following a move. */
  find(host: string | undefined): Portal {
    let name = this.#nameOf(host)
    for (let moved = this.#moved.get(name); moved !== undefined; moved = this.#moved.get(name))
      name = this.#nameOf(moved)
    return this.#open(name)
  }

  /** Gives the portal at `host` another name. The old one redirects from now on; data and limits stay. */
  rename(newHost: string, host: string | undefined): void {
    const portal = this.find(host)
    const name = this.#nameOf(newHost)
    for (const [old, known] of this.#byHost) {
      if (known !== portal || old === name) continue
      this.#byHost.delete(old)
      this.#moved.set(old, newHost)
    }
    this.#moved.delete(name)
    this.#byHost.set(name, portal)
    portal.name = newHost
  }

  #open(name: string): Portal {
    let portal = this.#byHost.get(name)
    if (portal === undefined) {
      portal = new Portal(this.#settings, this.#now, this.#parts, { name, url: this.#url })
      this.#byHost.set(name, portal)
    }
    return portal
  }

  #nameOf(host: string | undefined): string {
    const name = (host ?? '').toLowerCase().replace(/:\d+$/, '')
    return name === '' || name === 'localhost' ? this.#home : name
  }
}

/** The name of the sandbox's own portal: the address listened on, or 127.0.0.1 when that is all of them. */
export function homeOf(host: string): string {
  return host === '0.0.0.0' || host === '::' || host === 'localhost' ? '127.0.0.1' : host.toLowerCase()
}
