import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chownSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'

/** Where a cluster of our own lives; as text it travels to the processes that run the tests. */
export interface PostgresPlace {
  /** Folder of the server's programs. */
  readonly programs: string
  readonly folder: string
  readonly port: number
}

/** A PostgreSQL that may be stopped and killed. As root it runs as the user `postgres`, since it refuses root. */
export class PostgresCluster {
  readonly #place: PostgresPlace
  readonly #user: { readonly uid?: number; readonly gid?: number }

  constructor(place: PostgresPlace) {
    this.#place = place
    this.#user = process.getuid?.() === 0 ? { uid: numberOf('-u'), gid: numberOf('-g') } : {}
  }

  /** Makes its data, once. */
  create(): void {
    const { folder } = this.#place
    mkdirSync(folder, { recursive: true })
    if (this.#user.uid !== undefined) chownSync(folder, this.#user.uid, this.#user.gid as number)
    this.#run('initdb', ['-D', join(folder, 'data'), '-U', 'postgres', '-A', 'trust', '-E', 'UTF8'])
  }

  start(): void {
    const { folder, port } = this.#place
    const options = `-p ${port} -k ${folder} -h 127.0.0.1`
    this.#run('pg_ctl', ['-D', join(folder, 'data'), '-l', join(folder, 'log'), '-o', options, '-w', 'start'])
  }

  /** `fast` rolls back and closes in order; `immediate` is what a power cut leaves. */
  stop(mode: 'fast' | 'immediate'): void {
    this.#run('pg_ctl', ['-D', join(this.#place.folder, 'data'), '-m', mode, '-w', 'stop'])
  }

  /** A new database and its address. They go with the cluster. */
  async database(): Promise<string> {
    const name = `b24_${randomBytes(6).toString('hex')}`
    const client = new pg.Client({ connectionString: this.#url('postgres') })
    await client.connect()
    await client.query(`create database ${name}`)
    await client.end()
    return this.#url(name)
  }

  #url(database: string): string {
    return `postgres://postgres@127.0.0.1:${this.#place.port}/${database}`
  }

  #run(program: string, words: string[]): void {
    const { programs, folder } = this.#place
    const run = spawnSync(join(programs, program), words, {
      ...this.#user,
      cwd: folder,
      // The server keeps what it inherits open for as long as it runs.
      stdio: 'ignore',
      timeout: 120_000,
    })
    if (run.status !== 0)
      throw new Error(`${program} ended with ${run.status ?? run.signal}: see ${folder}/log`)
  }
}

/** Folder with the programs of the newest installed server, or `undefined`. */
export function postgresPrograms(): string | undefined {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : []
  const folders = [
    ...versions.map((version) => join(root, version, 'bin')),
    ...(process.env.PATH ?? '').split(':'),
  ]
  return folders.find((folder) => ['initdb', 'pg_ctl'].every((name) => existsSync(join(folder, name))))
}

function numberOf(flag: string): number {
  return Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout)
}
