import { createHash } from 'node:crypto'
import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises'
import { CommandError } from '../../model/errors.ts'
import { isJsonObject, type Json } from '../../model/json.ts'

/** How far an export got. Written only after all it speaks of is on the disk. */
export interface Checkpoint {
  readonly version: 1
  /** Says that it belongs to the same list: see `fingerprint`. */
  readonly fingerprint: string
  /** Every row up to this id is in the part file. */
  readonly lastId: string
  /** Length of the part file then; what is behind it is thrown away. */
  readonly bytes: number
  readonly rows: number
  readonly requests: number
  readonly columns?: readonly string[]
}

/** A short hash of what makes two exports the same one: portal, method, parameters, format. */
export function fingerprint(parts: Json): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)
}

/**
 * A file that appears whole or not at all: rows go to `FILE.part`, how far they got to `FILE.resume.json`, and
 * `finish` renames. A process that is killed leaves both for the next one.
 */
export class PartFile implements AsyncDisposable {
  /** What the file was resumed from; absent when it begins anew. */
  readonly from: Checkpoint | undefined
  bytes: number
  readonly #path: string
  readonly #fingerprint: string
  readonly #file: FileHandle
  #closed = false

  private constructor(path: string, mark: string, file: FileHandle, from: Checkpoint | undefined) {
    this.#path = path
    this.#fingerprint = mark
    this.#file = file
    this.from = from
    this.bytes = from?.bytes ?? 0
  }

  /**
   * Opens `FILE.part`. With `resume` it goes on behind the last checkpoint, or begins anew when there is none.
   * Throws `CommandError` `RESUME_MISMATCH` when the checkpoint belongs to another list or the part file is shorter
   * than it says, `FILE_NOT_WRITABLE` when there is no writing here.
   */
  static async open(
    path: string,
    options: { readonly fingerprint: string; readonly resume: boolean },
  ): Promise<PartFile> {
    const { resume, fingerprint: mark } = options
    const from = resume ? await readCheckpoint(resumePath(path)) : undefined
    if (from !== undefined && from.fingerprint !== mark) throw mismatch(path, 'belongs to another list')
    const file = from === undefined ? undefined : await openExisting(partPath(path))
    if (from === undefined || file === undefined) {
      await rm(resumePath(path), { force: true })
      return new PartFile(path, mark, await create(partPath(path)), undefined)
    }
    if ((await file.stat()).size < from.bytes) {
      await file.close()
      throw mismatch(path, 'promises more than the part file holds')
    }
    await file.truncate(from.bytes)
    return new PartFile(path, mark, file, from)
  }

  async write(text: string): Promise<void> {
    if (text === '') return
    const bytes = Buffer.from(text)
    let done = 0
    while (done < bytes.length) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.bytes + done)
      done += bytesWritten
    }
    this.bytes += bytes.length
  }

  /** Puts the rows on the disk, then the note how far they got. */
  async checkpoint(state: Pick<Checkpoint, 'lastId' | 'rows' | 'requests' | 'columns'>): Promise<void> {
    await this.#file.sync()
    const note: Checkpoint = { version: 1, fingerprint: this.#fingerprint, bytes: this.bytes, ...state }
    const path = resumePath(this.#path)
    const file = await open(`${path}.new`, 'w')
    try {
      await file.writeFile(`${JSON.stringify(note)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(`${path}.new`, path)
  }

  /** Forgets how far the export got; the next one begins anew. */
  async forget(): Promise<void> {
    await rm(resumePath(this.#path), { force: true })
  }

  /** Gives the file its name. */
  async finish(): Promise<void> {
    await this.#file.sync()
    await this.close()
    await rename(partPath(this.#path), this.#path)
    await this.forget()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#file.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function partPath(path: string): string {
  return `${path}.part`
}

function resumePath(path: string): string {
  return `${path}.resume.json`
}

async function readCheckpoint(path: string): Promise<Checkpoint | undefined> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw error
  })
  if (text === undefined) return undefined
  try {
    const note = JSON.parse(text) as Json
    const { version, lastId, bytes, rows } = isJsonObject(note) ? note : {}
    const sound =
      version === 1 && typeof lastId === 'string' && typeof bytes === 'number' && typeof rows === 'number'
    if (sound) return note as unknown as Checkpoint
  } catch {
    // Falls through: a note that is no JSON is as unusable as one with other members.
  }
  throw mismatch(path, 'cannot be read')
}

async function create(path: string): Promise<FileHandle> {
  return open(path, 'w').catch((cause: unknown) => {
    throw new CommandError('FILE_NOT_WRITABLE', `${path} cannot be written.`, {
      hint: 'Give --out a file in a folder that exists and that you may write to.',
      cause,
    })
  })
}

async function openExisting(path: string): Promise<FileHandle | undefined> {
  return open(path, 'r+').catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw error
  })
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function mismatch(path: string, why: string): CommandError {
  return new CommandError('RESUME_MISMATCH', `The note of the earlier export to ${path} ${why}.`, {
    hint: 'Give the same portal, method, parameters and format as before, or leave out --resume to begin anew.',
  })
}
