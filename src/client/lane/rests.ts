import { createHash } from 'node:crypto'

/** Until when something rests, as one process tells the others. */
export interface Rest {
  /** Absent: the whole portal. */
  readonly method?: string
  /** With a method: fingerprint of the credential whose budget is used up. */
  readonly credential?: string
  /** The portal's own code: `OVERLOAD_LIMIT`, `OPERATION_TIME_LIMIT`. */
  readonly code: string
  readonly ms: number
}

/** Methods that rest because another process was told so. Times are on the lane's clock. */
export class LearnedRests {
  readonly #fingerprints = new Map<string, string>()
  #until = new Map<string, number>()

  /** Takes the place of all that was learned before. */
  replace(rests: readonly Rest[], now: number): void {
    this.#until = new Map(
      rests.flatMap(({ method, credential, ms }) =>
        method === undefined || credential === undefined
          ? []
          : [[`${credential} ${method}`, now + ms] as const],
      ),
    )
  }

  /** The moment before which the method may not be called; 0 when nothing is known of it. */
  until(credential: string, method: string): number {
    return this.#until.size === 0 ? 0 : (this.#until.get(`${this.fingerprint(credential)} ${method}`) ?? 0)
  }

  /** A credential's key may hold a secret, so others are told a fingerprint. */
  fingerprint(credential: string): string {
    let known = this.#fingerprints.get(credential)
    if (known === undefined) {
      known = createHash('sha256').update(credential).digest('base64url').slice(0, 22)
      this.#fingerprints.set(credential, known)
    }
    return known
  }
}
