import { endPortalRest, listPortalRests, savePortalRest } from './queries/portal-rests.ts'
import type { Store } from './store.ts'

interface Rest {
  readonly method?: string
  readonly credential?: string
  readonly code: string
  readonly ms: number
}

/** What portals have told any process that shares the store to leave alone. */
export interface SharedRestsInStore {
  /** Kept for the others; `undefined`: the portal answers again. */
  tell(domain: string, rest: Rest | undefined): void
  /** What held when the store was last asked. */
  of(domain: string): readonly Rest[]
  /** Begins to hand the news on to lanes that are open. */
  follow(
    lanes: () => readonly {
      readonly domain: string
      readonly lane: { learn(rests: readonly Rest[]): void }
    }[],
  ): void
  close(): void
}

const LOOK_MS = 5000

/**
 * The store's memory of rests, asked every few seconds. What cannot be written is told to nobody: the others hear it from
 * the portal themselves.
 */
export async function openSharedRests({ db }: Store): Promise<SharedRestsInStore> {
  let known = await read()
  let timer: NodeJS.Timeout | undefined

  async function read(): Promise<Map<string, Rest[]>> {
    const byDomain = new Map<string, Rest[]>()
    for (const { domain, ...rest } of await listPortalRests(db))
      byDomain.set(domain, [...(byDomain.get(domain) ?? []), rest])
    return byDomain
  }

  return {
    tell(domain, rest) {
      const told = rest === undefined ? endPortalRest(db, domain) : savePortalRest(db, { domain, ...rest })
      told.catch(() => undefined)
    },
    of: (domain) => known.get(domain) ?? [],
    follow(lanes) {
      timer = setInterval(async () => {
        const before = known
        try {
          known = await read()
        } catch {
          return
        }
        for (const { domain, lane } of lanes())
          if (known.has(domain) || before.has(domain)) lane.learn(known.get(domain) ?? [])
      }, LOOK_MS).unref()
    },
    close: () => clearInterval(timer),
  }
}
