import { resolve } from 'node:path'
import type { Installs } from '../bridge/installs/installs.ts'
import { type ContentOf, createContent } from '../bridge/pages/content.ts'
import { createPages, type Pages } from '../bridge/pages/pages.ts'
import { createTransport } from '../client/transport.ts'
import { installRecords } from '../stores/installs.ts'
import { saveTokens } from '../stores/queries/tokens.ts'
import { noteVisitor } from '../stores/queries/visitors.ts'
import { certificates, type Foundation } from './foundation.ts'

/** A person waits for the page, and a background worker has five seconds. */
const PAGE_MS = 10_000
const PAGE_BYTES = 2 * 1024 * 1024

/** The pages that portals open in frames. */
export function createPlacements(
  base: Foundation,
  installs: Pick<Installs, 'takePage'>,
): { readonly pages: Pages; readonly contentOf: ContentOf } {
  const { config, store, secrets, transport, now, log, closing } = base
  const authority = certificates(config)
  const pagesTransport = createTransport({
    timeoutMs: PAGE_MS,
    maxResponseBytes: PAGE_BYTES,
    ...authority,
  })
  closing.push(() => pagesTransport.close())
  const { folder, addresses = {} } = config.pages ?? {}
  const pages = createPages({
    store: {
      ...installRecords(store.db, secrets),
      saveTokens: (key, pair, at) => saveTokens(store.db, secrets, key, pair, at),
      noteVisitor: (key) => noteVisitor(store.db, key),
    },
    transport,
    installs,
    servers: config.oauthServers,
    ...authority,
    now,
    log,
  })
  const contentOf = createContent({
    addresses,
    ...(folder === undefined ? {} : { folder: resolve(folder) }),
    ...(config.pagesSecret === undefined ? {} : { secret: config.pagesSecret }),
    transport: pagesTransport,
    now,
  })
  return { pages, contentOf }
}
