/** The published addresses that portals send events from. */
export interface Sources {
  /** True for an address of the lists; for any, as long as no list could be read yet. */
  isListed(address: string): boolean
  /** Reads the lists, and again from time to time. */
  start(): void
  /** Twice is harmless. */
  close(): void
}

export interface SourcesOptions {
  readonly urls: readonly string[]
  readonly read: (url: string) => Promise<readonly string[]>
  /** 300,000: new addresses are published minutes before they are used. */
  readonly refreshMs?: number
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/**
 * The union of all lists. A list that cannot be read now counts as it was: it is a second factor beside the application
 * token, and must not stop events by itself.
 *
 * https://apidocs.bitrix24.com/settings/cloud-and-on-premise/network-access.html
 */
export function createSources({ urls, read, refreshMs = 300_000, log }: SourcesOptions): Sources {
  const lists = new Map<string, readonly string[]>()
  let all: ReadonlySet<string> | undefined
  let timer: NodeJS.Timeout | undefined

  async function refresh(): Promise<void> {
    for (const url of urls) {
      try {
        lists.set(url, (await read(url)).map(plainAddress))
      } catch (error) {
        log('event.sources', { err: error })
      }
    }
    // With one list missing its addresses would look like strangers.
    if (lists.size === urls.length) all = new Set([...lists.values()].flat())
  }

  return {
    isListed: (address) => all === undefined || all.has(plainAddress(address)),
    start() {
      if (timer !== undefined) return
      timer = setInterval(() => void refresh(), refreshMs).unref()
      void refresh()
    },
    close: () => clearInterval(timer),
  }
}

/** An IPv4 address as such, also where a socket writes it as IPv6. */
function plainAddress(address: string): string {
  return address.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '')
}
