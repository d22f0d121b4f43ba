import type { Command } from '../model/command.ts'
import type { Credential } from '../model/credential.ts'
import { CommandError } from '../model/errors.ts'
import { parseRequestLimit } from '../model/limits.ts'
import { type KnownPortal, parseDomain } from '../model/portal.ts'
import type { TokenKey } from '../model/token.ts'
import { type Webhook, webhookCredential } from '../model/webhook.ts'
import { createLanes, type LanesOptions, type LaneUse } from './lanes.ts'
import { createLentTokens } from './lent.ts'
import { chooseCredential, nobody, type PortalStore, suspension, type Wish } from './portal-credentials.ts'

/** A portal as a command finds it: the lane to it, and the credential to use there. */
export type Portal = LaneUse

/** The portals of one process: one lane each, however many credentials are used there. */
export interface Portals {
  /**
   * The portal and the credential of a command: those of the message, of the settings, or of the store. Rejects with a
   * `CommandError` `PORTAL_MISSING` (none named, no default), `PORTAL_UNKNOWN`, `PORTAL_SUSPENDED`, `USER_UNKNOWN` or
   * `APPLICATION_UNKNOWN`, an `AuthError` `TOKENS_DEAD`, or a `StoreError`.
   */
  find(command: Pick<Command, 'portal' | 'credential' | 'application' | 'as'>): Promise<Portal>
  /** All portals that have been used lately. */
  list(): readonly Portal[]
  /** Ends all lanes; see `Lane.close`. */
  close(graceMs: number): Promise<void>
}

export interface PortalsOptions extends LanesOptions {
  readonly defaultPortal: Webhook | undefined
  /** A default portal that is called in another way than by webhook. */
  readonly defaultCredential?: Credential
  /** Portals by the thousand; without it only those of the settings and of messages are known. */
  readonly stored?: {
    readonly store: PortalStore
    readonly credentialFor: (portal: KnownPortal, key: TokenKey) => Credential
    /** How long what was found is believed; 3000. */
    readonly cacheMs?: number
  }
  /** A portal has a new address. */
  readonly onRenamed?: (origin: string) => void
}

const CACHE_MS = 3000
/** Names that are remembered at most. */
const CACHED = 20_000
const SWEEP_MS = 30_000

/** The default portal, those whose credential comes with each message, and those of the store. */
export function createPortals(options: PortalsOptions): Portals {
  const { defaultPortal, stored, now, onRenamed } = options
  const lanes = createLanes(options)
  const lent = createLentTokens()
  const main =
    options.defaultCredential ?? (defaultPortal === undefined ? undefined : webhookCredential(defaultPortal))
  const cache = new Map<string, { readonly portal: Promise<Portal>; readonly until: number }>()
  let only: { readonly domain: Promise<string | undefined>; readonly until: number } | undefined
  const sweeper = setInterval(() => {
    for (const [name, { until }] of cache) if (until <= now()) cache.delete(name)
    lanes.sweep()
  }, SWEEP_MS).unref()

  const openMain = (credential: Credential): Portal =>
    lanes.open(credential, onRenamed === undefined ? {} : { onRenamed })
  if (main !== undefined) openMain(main)

  /** The credential of the settings, when it is what the command wants. */
  function fromSettings({ portal, application, as }: Asked): Portal | undefined {
    if (main === undefined || application !== undefined) return undefined
    if (as !== undefined && as !== defaultPortal?.userId) return undefined
    return isMain(portal) ? openMain(main) : undefined
  }

  function isMain(portal: string | undefined): boolean {
    return portal === undefined || portal === 'default' || portal.toLowerCase() === main?.domain
  }

  async function fromStore(asked: string, wish: Wish): Promise<Portal> {
    const { store, credentialFor } = stored as NonNullable<typeof stored>
    const name = plainName(asked)
    const known = (await store.portal(asked)) ?? (name === asked ? undefined : await store.portal(name))
    const halted = suspension(known, now())
    if (halted !== undefined) throw halted
    const credential = await chooseCredential(store, { name, portal: known, wish, now: now() }, credentialFor)
    if (credential === undefined) throw isMain(asked) ? nobody(name, wish, true) : unknown(asked, main)
    const limit = known?.limit === undefined ? undefined : parseRequestLimit(known.limit)
    const use = lanes.open(credential, {
      ...(limit === undefined ? {} : { limit }),
      onRenamed: (origin) => void moved(store, known, origin),
    })
    if ('saidToBe' in credential && !(await lent.isHis(use, credential.saidToBe))) {
      throw nobody(use.domain, wish, true)
    }
    return use
  }

  /** The same question from many commands at once is asked once; commands keep their order. */
  function cached(name: string, wish: Wish): Promise<Portal> {
    const key = JSON.stringify([name, wish.application ?? null, wish.as ?? null])
    const before = cache.get(key)
    if (before !== undefined && now() < before.until) return before.portal
    if (cache.size >= CACHED) cache.delete(cache.keys().next().value as string)
    cache.delete(key)
    const portal = fromStore(name, wish)
    cache.set(key, { portal, until: now() + (stored?.cacheMs ?? CACHE_MS) })
    // Good news must not be late: an installation, a portal that was resumed.
    portal.catch(() => cache.delete(key))
    return portal
  }

  /** Where a bridge knows one portal, commands need not name it. Asked anew every few seconds. */
  function theOnlyOne(): Promise<string | undefined> {
    if (stored === undefined) return Promise.resolve(undefined)
    if (only === undefined || only.until <= now()) {
      const domain = stored.store.only()
      domain.catch(() => {
        only = undefined
      })
      only = { domain, until: now() + (stored.cacheMs ?? CACHE_MS) }
    }
    return only.domain
  }

  /** https://apidocs.bitrix24.com/settings/how-to-call-rest-api/change-domen.html */
  async function moved(store: PortalStore, known: KnownPortal | undefined, origin: string): Promise<void> {
    onRenamed?.(origin)
    if (known === undefined) return
    const { pathname } = new URL(known.clientEndpoint)
    const { host } = new URL(origin)
    const portal = { memberId: known.memberId, domain: host, clientEndpoint: `${origin}${pathname}` }
    await store.save(portal, now()).catch(() => undefined)
  }

  return {
    async find(asked) {
      if (asked.credential !== undefined) return openMain(webhookCredential(asked.credential))
      const own = fromSettings(asked)
      if (own !== undefined) return own
      const unnamed = asked.portal === undefined || asked.portal === 'default'
      const named = unnamed ? (main?.domain ?? (await theOnlyOne())) : asked.portal
      if (named === undefined) throw missing()
      if (stored === undefined) throw isMain(named) ? nobody(named, asked, true) : unknown(named, main)
      return cached(named, asked)
    },
    list: () => lanes.list(),
    async close(graceMs) {
      clearInterval(sweeper)
      await lanes.close(graceMs)
    },
  }
}

type Asked = Parameters<Portals['find']>[0]

/** People paste addresses; member ids and aliases are left as they are. */
function plainName(name: string): string {
  if (!/[/.]/.test(name)) return name
  try {
    return parseDomain(name)
  } catch {
    return name
  }
}

function missing(): CommandError {
  return new CommandError('PORTAL_MISSING', 'The command names no portal, and there is no default one', {
    status: 404,
    hint: 'Name the portal in the command, set BRIDGE_PORTAL to the webhook address of your portal, or connect one.',
  })
}

function unknown(name: string, main: Credential | undefined): CommandError {
  const add = 'Install the application on it, or add it with `b24-bridge portals add`.'
  return new CommandError('PORTAL_UNKNOWN', `No portal is known as ${JSON.stringify(name.slice(0, 100))}`, {
    status: 404,
    hint: main === undefined ? add : `Leave portal out, or name it ${main.domain}; another one: ${add}`,
  })
}
