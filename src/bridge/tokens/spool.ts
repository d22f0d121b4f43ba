import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { TokenKey, TokenPair } from '../../model/token.ts'

/** A new pair on its way into the store. */
export interface SpooledPair {
  readonly key: TokenKey
  readonly epoch: number
  readonly pair: TokenPair
}

/** Seals the text of an entry, bound to its name, and opens it again. */
export interface SpoolSeal {
  seal(id: string, text: string): string
  open(id: string, sealed: string): string
}

/** Pairs that were given out and are not in the store yet. The old ones are dead, so these must outlive the process. */
export interface Spool {
  /** Resolves when the pair is on the disk, with the name of its entry. On a full disk it is at least remembered. */
  add(entry: SpooledPair): Promise<string>
  /** The pair is in the store. Twice is harmless. */
  remove(id: string): Promise<void>
  /** Entries left behind by a crash or by a store that was away. Unreadable ones are told of once and left alone. */
  list(): Promise<readonly { readonly id: string; readonly entry: SpooledPair }[]>
}

export interface SpoolOptions {
  /** A folder of its own, made when it is needed. */
  readonly folder: string
  readonly seal: SpoolSeal
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** A spool in a folder: one sealed file a pair, readable by this user only. Does no I/O before it is used. */
export function createSpool({ folder, seal, log }: SpoolOptions): Spool {
  const remembered = new Map<string, SpooledPair>()
  const unreadable = new Set<string>()

  return {
    async add(entry) {
      const id = randomUUID()
      try {
        await write(folder, id, seal.seal(id, JSON.stringify(entry)))
      } catch (error) {
        remembered.set(id, entry)
        log('token.spool', {
          err: error,
          hint: 'New tokens cannot be kept on this disk; make room or mend its rights.',
        })
      }
      return id
    },
    async remove(id) {
      if (!remembered.delete(id)) await unlink(fileOf(folder, id)).catch(unlessMissing)
    },
    async list() {
      const found = [...remembered].map(([id, entry]) => ({ id, entry }))
      for (const name of await readdir(folder).catch(() => [])) {
        const id = /^([\da-f-]{36})\.pair$/.exec(name)?.[1]
        if (id === undefined || unreadable.has(id)) continue
        try {
          const text = await readFile(fileOf(folder, id), 'utf8')
          found.push({ id, entry: JSON.parse(seal.open(id, text)) as SpooledPair })
        } catch (error) {
          if ((error as { code?: unknown }).code === 'ENOENT') continue
          unreadable.add(id)
          log('token.spool', {
            err: error,
            id,
            hint: 'These tokens cannot be read; was the secret key changed?',
          })
        }
      }
      return found
    },
  }
}

function fileOf(folder: string, id: string): string {
  return join(folder, `${id}.pair`)
}

/** Whole or not at all, also after a power cut. */
async function write(folder: string, id: string, text: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const draft = join(folder, `${id}.draft`)
  const file = await open(draft, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(draft, fileOf(folder, id))
  const directory = await open(folder, 'r')
  await directory.sync().finally(() => directory.close())
}

function unlessMissing(error: { readonly code?: unknown }): void {
  if (error.code !== 'ENOENT') throw error
}
