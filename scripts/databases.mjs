// Finds the PostgreSQL and the MariaDB for the tests, or starts them, and prints their addresses: `node scripts/databases.mjs`.
import { spawn, spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, openSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createConnection } from 'mysql2/promise'
import pg from 'pg'

const READY_IN_MS = 60_000

/**
 * The address of a PostgreSQL whose user may create databases: `TEST_POSTGRES_URL`, else the one on this machine, else
 * one of our own beside it, from the server's programs, which are installed as root on Debian and its children.
 * @param {{ log?: (line: string) => void }} [options]
 * @returns {Promise<{ url: string } | { missing: string }>}
 */
export function findPostgres({ log = () => {} } = {}) {
  return find({
    variable: 'TEST_POSTGRES_URL',
    local: ['postgres://postgres@127.0.0.1:5432/postgres', 'postgres://postgres@127.0.0.1:55432/postgres'],
    answers: postgresAnswers,
    program: () => program('initdb', postgresFolders()),
    package: 'postgresql',
    start: startPostgres,
    docker: 'docker run -d -p 5432:5432 -e POSTGRES_HOST_AUTH_METHOD=trust postgres:17',
    log,
  })
}

/**
 * The address of a MariaDB or MySQL whose user may create databases: `TEST_MYSQL_URL`, else as for PostgreSQL.
 * @param {{ log?: (line: string) => void }} [options]
 * @returns {Promise<{ url: string } | { missing: string }>}
 */
export function findMysql({ log = () => {} } = {}) {
  return find({
    variable: 'TEST_MYSQL_URL',
    local: ['mysql://root@127.0.0.1:3306/mysql', 'mysql://root@127.0.0.1:53306/mysql'],
    answers: mysqlAnswers,
    program: () => program('mariadbd', ['/usr/sbin']),
    package: 'mariadb-server',
    start: startMariadb,
    docker: 'docker run -d -p 3306:3306 -e MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1 mariadb:11',
    log,
  })
}

async function find({ variable, local, answers, program, package: name, start, docker, log }) {
  const given = process.env[variable]
  if (given) {
    if (await answers(given)) return { url: given }
    return { missing: `the server named in ${variable} does not answer: correct the address or unset it` }
  }
  for (const url of local) if (await answers(url)) return { url }
  if (program() === undefined && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    log(`installing ${name} with apt-get, once`)
    install(name)
  }
  const found = program()
  if (found === undefined) return { missing: `no server: run \`${docker}\` or set ${variable}` }
  log(`starting ${found} with data of its own`)
  start(found, Number(new URL(local[1]).port))
  for (const end = Date.now() + READY_IN_MS; Date.now() < end; await sleep(300)) {
    if (await answers(local[1])) return { url: local[1] }
  }
  return { missing: `${found} was started but does not answer: run \`${docker}\` or set ${variable}` }
}

async function postgresAnswers(url) {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3000 })
  client.on('error', () => {})
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => {})
  }
}

async function mysqlAnswers(url) {
  try {
    const connection = await createConnection({ uri: url, connectTimeout: 3000 })
    await connection.end()
    return true
  } catch {
    return false
  }
}

function startPostgres(initdb, port) {
  const { folder, user } = dataFolder('postgres')
  const data = join(folder, 'data')
  const quiet = { ...user, cwd: folder, stdio: 'ignore' }
  if (!existsSync(data)) spawnSync(initdb, ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8'], quiet)
  const words = ['-D', data, '-l', join(folder, 'log'), '-o', `-p ${port} -k ${folder} -h 127.0.0.1`]
  spawnSync(join(initdb, '..', 'pg_ctl'), [...words, 'start'], quiet)
}

function startMariadb(server, port) {
  const { folder, user } = dataFolder('mysql')
  const data = join(folder, 'data')
  const maker = program('mariadb-install-db', ['/usr/bin']) ?? 'mariadb-install-db'
  if (!existsSync(data)) {
    const words = ['--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal']
    spawnSync(maker, words, { ...user, cwd: folder, stdio: 'ignore' })
  }
  const words = ['--no-defaults', `--datadir=${data}`, `--port=${port}`, '--bind-address=127.0.0.1']
  const log = openSync(join(folder, 'log'), 'a')
  const options = { ...user, cwd: folder, detached: true, stdio: ['ignore', log, log] }
  spawn(server, [...words, `--socket=${join(folder, 'socket')}`], options).unref()
}

/** A folder that outlives the run, and whom to be: these servers do not run as root. */
function dataFolder(name) {
  const folder = join(tmpdir(), `bitrix24-bridge-test-${name}`)
  mkdirSync(folder, { recursive: true })
  if (process.getuid?.() !== 0) return { folder, user: {} }
  const number = (flag) => Number(spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout)
  const user = { uid: number('-u'), gid: number('-g') }
  chownSync(folder, user.uid, user.gid)
  return { folder, user }
}

function postgresFolders() {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : []
  return versions.map((version) => join(root, version, 'bin'))
}

function program(name, folders) {
  const places = [...(process.env.PATH ?? '').split(':'), ...folders].filter((folder) => folder !== '')
  return places.map((folder) => join(folder, name)).find(existsSync)
}

function install(name) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  for (const words of [
    ['update', '-q'],
    ['install', '-y', '-q', name],
  ]) {
    spawnSync('apt-get', words, { env, stdio: ['ignore', 'ignore', 'inherit'], timeout: 300_000 })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const search of [findPostgres, findMysql]) {
    const found = await search({ log: (line) => console.error(line) })
    if ('url' in found) console.log(found.url)
    else {
      console.error(found.missing)
      process.exitCode = 1
    }
  }
}
