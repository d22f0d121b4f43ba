import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A folder of our own for stores, exports and certificates. */
export interface Folder extends AsyncDisposable {
  readonly path: string
  /** A path in it that nobody has been given before. */
  file(name: string): string
}

export async function openFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'bitrix24-bridge-bench-'))
  let count = 0
  return {
    path,
    file: (name) => join(path, `${++count}-${name}`),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  }
}
