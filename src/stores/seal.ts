import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { ConfigError, StoreError } from '../model/errors.ts'

/** Where a secret stands; it can be opened nowhere else. */
export interface Place {
  readonly table: string
  readonly row: string
  readonly column: string
}

/** Turns secrets into text for a table and back. */
export interface Sealer {
  /** The name of the key that seals. */
  readonly active: string
  /** The names of all keys that open, the active one first. */
  readonly kids: readonly string[]
  seal(place: Place, secret: string): string
  /**
   * The secret again. Throws `SECRET_KEY_MISSING`, naming the key, when it was sealed under one that is not here, and
   * `SECRET_DAMAGED` when it was changed, stands in another place, or the key of that name is another one.
   */
  open(place: Place, sealed: string): string
}

const VERSION = 'v1'
const NONCE_BYTES = 12
const TAG_BYTES = 16

/**
 * A sealer over keys written `kid:base64`, each of 32 bytes; the first one seals, the others only open. Does no I/O;
 * throws a `ConfigError` that names the key but never repeats it.
 *
 * AES-256-GCM with a random nonce; `v1.<kid>.<nonce>.<ciphertext and tag>` in base64url; bound to `table|row|column|kid`.
 */
export function openSealer({ keys }: { readonly keys: string | readonly string[] }): Sealer {
  const ring = readKeys(typeof keys === 'string' ? keys.split(',') : keys)
  const [active, activeKey] = [...ring][0]!
  return {
    active,
    kids: [...ring.keys()],
    seal(place, secret) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', activeKey, nonce)
      cipher.setAAD(binding(place, active))
      const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()])
      return [VERSION, active, nonce.toString('base64url'), sealed.toString('base64url')].join('.')
    },
    open(place, text) {
      const [version, kid, nonce, sealed, ...more] = text.split('.')
      if (version !== VERSION || kid === undefined || !nonce || !sealed || more.length > 0)
        throw damaged(place)
      const key = ring.get(kid)
      if (key === undefined) throw missing(place, kid, [...ring.keys()])
      try {
        const bytes = Buffer.from(sealed, 'base64url')
        const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(nonce, 'base64url'), {
          authTagLength: TAG_BYTES,
        })
        decipher.setAAD(binding(place, kid))
        decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
        return decipher.update(bytes.subarray(0, -TAG_BYTES)).toString('utf8') + decipher.final('utf8')
      } catch {
        throw damaged(place, kid)
      }
    },
  }
}

function binding({ table, row, column }: Place, kid: string): Buffer {
  return Buffer.from([table, row, column, kid].map(encodeURIComponent).join('|'))
}

function readKeys(texts: readonly string[]): Map<string, Buffer> {
  const faults: string[] = []
  const ring = new Map<string, Buffer>()
  for (const [index, text] of texts.map((one) => one.trim()).entries()) {
    const { kid, base64 } =
      /^(?<kid>[A-Za-z\d-]{1,32}):(?<base64>[A-Za-z\d+/_-]+={0,2})$/.exec(text)?.groups ?? {}
    const key = Buffer.from(base64 ?? '', 'base64')
    if (kid === undefined) faults.push(`Key ${index + 1} of the secret key is not written as name:base64`)
    else if (key.length !== 32) faults.push(`The secret key ${kid} has ${key.length} bytes instead of 32`)
    else if (ring.has(kid)) faults.push(`The secret key ${kid} is there twice`)
    else ring.set(kid, key)
  }
  if (ring.size === 0 && faults.length === 0) faults.push('There is no secret key')
  if (faults.length === 0) return ring
  throw new ConfigError(faults, {
    hint: 'Make one with: echo "k1:$(openssl rand -base64 32)"; several stand with commas between them, the active one first.',
  })
}

function missing(place: Place, kid: string, kids: readonly string[]): StoreError {
  return new StoreError(
    'SECRET_KEY_MISSING',
    `The secret ${name(place)} is sealed under the key ${kid}, which is not among ours (${kids.join(', ')})`,
    {
      hint: `Add the key ${kid} behind the active one in BRIDGE_SECRET_KEY.`,
      context: { kid, table: place.table, column: place.column },
    },
  )
}

function damaged(place: Place, kid?: string): StoreError {
  const how =
    kid === undefined
      ? 'is not in the form that this program writes'
      : `does not open with the key ${kid}: it was changed or moved, or this is another key of that name`
  return new StoreError('SECRET_DAMAGED', `The secret ${name(place)} ${how}`, {
    hint: 'Set the right key in BRIDGE_SECRET_KEY, or restore the row from a backup, or enter the secret again.',
    context: { table: place.table, column: place.column, ...(kid === undefined ? {} : { kid }) },
  })
}

function name({ table, row, column }: Place): string {
  return `${column} of ${table} ${row}`
}
