import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { ConfigError } from '../model/errors.ts'

export interface SecretKeyOptions {
  /** What `BRIDGE_SECRET_KEY` says, if anything. */
  readonly given: string | undefined
  /** Others depend on this installation: a key must be given, none is made. */
  readonly production: boolean
  /** Where a key for local use is kept: `data/secret.key`. */
  readonly file: string
}

/**
 * The keys to seal with: those given, else the ones of the key file, which is made (mode 0600) when there is none. In
 * production none is made and none is read: throws a `ConfigError`.
 */
export function readSecretKeys({ given, production, file }: SecretKeyOptions): string {
  if (given !== undefined && given.trim() !== '') return given
  if (production) {
    throw new ConfigError(['BRIDGE_SECRET_KEY is not set, and in production no key is made by itself'], {
      hint: 'Make one with: echo "k1:$(openssl rand -base64 32)" and keep a copy apart from the backups of the database.',
    })
  }
  try {
    mkdirSync(dirname(file), { recursive: true })
    // One of several processes makes it, the others read it.
    writeFileSync(file, `local:${randomBytes(32).toString('base64')}\n`, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EEXIST') throw unusable(file, error)
  }
  try {
    return readFileSync(file, 'utf8').trim().split(/\s+/).join(',')
  } catch (error) {
    throw unusable(file, error)
  }
}

function unusable(file: string, error: unknown): ConfigError {
  const why = error instanceof Error ? error.message : String(error)
  return new ConfigError([`The key file ${file} cannot be used: ${why}`], {
    hint: 'Give this user the right to read and write it, or set BRIDGE_SECRET_KEY.',
    cause: error,
  })
}
