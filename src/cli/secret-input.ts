import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { CommandError } from '../model/errors.ts'
import type { CliIo } from './io.ts'

/**
 * Reads secrets from where a flag says that they are: `-` is the next line of stdin, `env:NAME` a variable, anything
 * else a file. Rejects with a `CommandError` `SECRET_UNREADABLE` that names the flag and the place, never a secret.
 */
export type SecretReader = (flag: string, place: string) => Promise<string>

/** A reader for one call of the command line: several flags may say `-` and take their lines in turn. */
export function createSecretReader(io: Pick<CliIo, 'stdin' | 'env' | 'cwd'>): SecretReader {
  let lines: AsyncIterator<string> | undefined

  async function nextLine(): Promise<string | undefined> {
    lines ??= createInterface({ input: io.stdin })[Symbol.asyncIterator]()
    const { value, done } = await lines.next()
    return done === true ? undefined : value
  }

  return async (flag, place) => {
    const text = (await read(place))?.trim()
    if (text !== undefined && text !== '') return text
    const where = place === '-' ? 'a line of stdin' : place.startsWith('env:') ? place : `the file ${place}`
    throw new CommandError('SECRET_UNREADABLE', `${flag} finds nothing in ${where}.`, {
      hint: 'Name a file that can be read, - for a line of stdin, or env:NAME for a variable.',
    })
  }

  async function read(place: string): Promise<string | undefined> {
    if (place === '-') return nextLine()
    if (place.startsWith('env:')) return io.env[place.slice('env:'.length)]
    try {
      return readFileSync(resolve(io.cwd, place), 'utf8')
    } catch {
      return undefined
    }
  }
}

/** A flag that may hold the secret itself, as well as `-` or `env:NAME`. */
export function isPlace(text: string): boolean {
  return text === '-' || text.startsWith('env:')
}
