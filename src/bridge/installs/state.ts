import { timingSafeEqual } from 'node:crypto'
import { refuseInstall } from './refusals.ts'
import type { InstallStore } from './store.ts'

/** What an authorization was begun for; travels through the browser, signed. */
export interface AuthorizationState {
  readonly domain: string
  readonly clientId: string
}

/** Gives out states and takes each back once. */
export interface States {
  issue(state: AuthorizationState): string
  /** Throws `STATE_INVALID` for one that was not given out here, `STATE_EXPIRED` or `STATE_USED`. */
  take(text: string): Promise<AuthorizationState>
}

const LIFE_MS = 10 * 60_000

/**
 * States are `payload.signature`: nothing is stored when one is given out, so that nobody can fill the store by
 * beginning; what was used is remembered until it would have expired.
 */
export function createStates(options: {
  readonly store: Pick<InstallStore, 'sign' | 'claimOnce'>
  readonly now: () => number
  readonly newId: () => string
}): States {
  const { store, now, newId } = options
  const signatureOf = (payload: string): string => store.sign(JSON.stringify(['oauth_state', payload]))
  return {
    issue({ domain, clientId }) {
      const payload = Buffer.from(JSON.stringify([newId(), now(), domain, clientId])).toString('base64url')
      return `${payload}.${signatureOf(payload)}`
    },
    async take(text) {
      const [payload = '', signature = '', ...more] = text.split('.')
      const wanted = signatureOf(payload)
      const right =
        more.length === 0 &&
        signature.length === wanted.length &&
        timingSafeEqual(Buffer.from(signature), Buffer.from(wanted))
      if (!right) throw refuseInstall('STATE_INVALID')
      const [id, issuedAt, domain, clientId] = JSON.parse(Buffer.from(payload, 'base64url').toString()) as [
        string,
        number,
        string,
        string,
      ]
      if (now() - issuedAt > LIFE_MS) throw refuseInstall('STATE_EXPIRED')
      const first = await store.claimOnce(`oauth-state/${id}`, { ttlMs: LIFE_MS * 2, now: now() })
      if (!first) throw refuseInstall('STATE_USED')
      return { domain, clientId }
    },
  }
}
