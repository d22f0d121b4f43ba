import { StoreError } from '../../../model/errors.ts'
import type { Leases, OfflineLease } from './store.ts'

/** How long the right to a queue outlives a process that was killed. */
export const LEASE_MS = 10_000
const RENEW_MS = 3000
/** The right is given up so long before it ends by itself. */
const MARGIN_MS = 2000

/** The right to be the only one at a queue, while it lasts. */
export interface Tenure {
  /** Aborts when the right is lost, or can no longer be proved: stop at once. */
  readonly signal: AbortSignal
  /** Gives it back. Twice is harmless. */
  end(): Promise<void>
}

/**
 * Takes the right to a queue and keeps it by renewing. `undefined` while another process has it. Rejects with a
 * `StoreError`. A store that is away is borne as long as nobody else can have got the right meanwhile.
 */
export async function beginTenure(
  leases: Leases,
  name: string,
  { owner, now }: { readonly owner: string; readonly now: () => number },
): Promise<Tenure | undefined> {
  const askedAt = now()
  const lease: OfflineLease | undefined = await leases.take({ name, owner, ttlMs: LEASE_MS })
  if (lease === undefined) return undefined
  const lost = new AbortController()
  let provedAt = askedAt
  let ended = false
  let renewing = false

  async function renew(): Promise<void> {
    const from = now()
    // Longer than the lease lasts nobody can say who holds it.
    if (from - provedAt >= LEASE_MS - MARGIN_MS) return lost.abort(gone())
    if (renewing) return
    renewing = true
    try {
      if ((await leases.renew(lease as OfflineLease, LEASE_MS)) === undefined) lost.abort(gone())
      else provedAt = from
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
    } finally {
      renewing = false
    }
  }
  let renewedAt = askedAt
  const timer = setInterval(() => {
    if (lost.signal.aborted) return
    const due = now() - renewedAt >= RENEW_MS || now() - provedAt >= LEASE_MS - MARGIN_MS
    if (!due) return
    renewedAt = now()
    void renew().catch((error: unknown) => lost.abort(error))
  }, 500).unref()
  return {
    signal: lost.signal,
    async end() {
      if (ended) return
      ended = true
      clearInterval(timer)
      if (!lost.signal.aborted) await leases.release(lease).catch(() => undefined)
    },
  }
}

function gone(): StoreError {
  return new StoreError('LEASE_LOST', 'Another process has this queue now')
}
