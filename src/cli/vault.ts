import type { Config } from '../config/config.ts'
import type { Secrets } from '../stores/secrets.ts'
import type { Store } from '../stores/store.ts'
import { openToolStore } from './parts.ts'

/** The store, with the keys that open what is sealed in it. */
export interface Vault {
  readonly store: Store
  readonly db: Store['db']
  readonly secrets: Secrets
  /** The address for people. */
  readonly label: string
}

/**
 * Does something with the store of the settings and its secrets, beside a service that may be running. Rejects as
 * `unlockStore` where the keys do not fit.
 */
export async function withVault<R>(config: Config, work: (vault: Vault) => Promise<R>): Promise<R> {
  const { unlockStore } = await import('../stores/unlock.ts')
  const store = await openToolStore(config)
  try {
    const secrets = await unlockStore(store, {
      address: config.store,
      given: config.secretKey,
      production: config.production,
      now: Date.now,
    })
    return await work({ store, db: store.db, secrets, label: store.label })
  } finally {
    await store.close()
  }
}
