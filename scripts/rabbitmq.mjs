// Finds a RabbitMQ for the tests, or starts one, and prints its address. Alone: `node scripts/rabbitmq.mjs`.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connect } from 'amqplib'

const LOCAL = 'amqp://guest:guest@127.0.0.1:5672'
const READY_IN_MS = 90_000

/**
 * The address of a RabbitMQ that answers: `TEST_AMQP_URL`, else the one on this machine, started or (as root on Debian
 * and its children) installed when need be. Without one, `missing` says in one line what to do.
 * @param {{ log?: (line: string) => void }} [options]
 * @returns {Promise<{ url: string } | { missing: string }>}
 */
export async function findRabbitmq({ log = () => {} } = {}) {
  const given = process.env.TEST_AMQP_URL
  if (given) {
    if (await answers(given)) return { url: given }
    return { missing: 'the RabbitMQ named in TEST_AMQP_URL does not answer: correct the address or unset it' }
  }
  if (await answers(LOCAL)) return { url: LOCAL }

  let server = installedServer()
  if (server === undefined && canInstall()) {
    log('installing rabbitmq-server with apt-get, once')
    install()
    // The package starts its service where there is a service manager.
    if (await answersWithin(LOCAL, 5000)) return { url: LOCAL }
    server = installedServer()
  }
  if (server === undefined) {
    return { missing: 'no RabbitMQ: run `docker run -d -p 5672:5672 rabbitmq:4` or set TEST_AMQP_URL' }
  }

  log(`starting ${server}`)
  const start = spawnSync(server, ['-detached'], { stdio: 'ignore', timeout: 30_000 })
  if (start.status !== 0)
    return { missing: `${server} did not start: run it as root or as the user rabbitmq` }
  if (await answersWithin(LOCAL, READY_IN_MS)) return { url: LOCAL }
  return { missing: `${server} was started but does not answer: run it in a terminal and read what it says` }
}

/** True when a client gets in with this address. */
async function answers(url) {
  try {
    const connection = await connect(url, { timeout: 3000 })
    connection.on('error', () => {})
    await connection.close()
    return true
  } catch {
    return false
  }
}

async function answersWithin(url, ms) {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(500)) {
    if (await answers(url)) return true
  }
  return false
}

function installedServer() {
  const places = (process.env.PATH ?? '').split(':').map((folder) => `${folder}/rabbitmq-server`)
  return [...places, '/usr/sbin/rabbitmq-server', '/usr/lib/rabbitmq/bin/rabbitmq-server'].find(existsSync)
}

function canInstall() {
  return process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')
}

function install() {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  for (const words of [
    ['update', '-q'],
    ['install', '-y', '-q', 'rabbitmq-server'],
  ]) {
    spawnSync('apt-get', words, { env, stdio: ['ignore', 'ignore', 'inherit'], timeout: 300_000 })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = await findRabbitmq({ log: (line) => console.error(line) })
  if ('url' in found) console.log(found.url)
  else {
    console.error(found.missing)
    process.exitCode = 1
  }
}
