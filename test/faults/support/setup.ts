import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findPostgres } from '../../../scripts/databases.mjs'
import { findRabbitmq } from '../../../scripts/rabbitmq.mjs'
import { build, placeForBuilt } from '../../support/built.ts'
import { VARIABLES } from './engines.ts'
import { freePorts } from './ports.ts'
import { PostgresCluster, postgresPrograms } from './postgres.ts'
import { RabbitNode, rabbitPrograms } from './rabbitmq.ts'

/**
 * Runs once before all tests: builds the bridge, and starts a RabbitMQ and a PostgreSQL of this run's own, installing
 * the programs where `npm test` would. Missing ones fail the run where `CI` is set; elsewhere their tests are skipped,
 * and say so. What it gives ends all of them.
 */
export default async function setup(): Promise<() => void> {
  const folder = mkdtempSync(join(tmpdir(), 'b24-faults-'))
  // The server's user must get in.
  chmodSync(folder, 0o755)
  const closing: (() => void)[] = [placeForBuilt()]
  await build()
  let ended = false
  const end = (): void => {
    if (ended) return
    ended = true
    for (const close of closing) close()
    rmSync(folder, { recursive: true, force: true })
  }
  // Also when the run is interrupted.
  process.on('exit', end)
  await startRabbit(folder, closing)
  await startPostgres(folder, closing)
  return end
}

async function startRabbit(folder: string, closing: (() => void)[]): Promise<void> {
  if (rabbitPrograms() === undefined) await findRabbitmq({ log: (line) => console.log(`RabbitMQ: ${line}`) })
  const programs = rabbitPrograms()
  if (programs === undefined) {
    missing(
      VARIABLES.rabbitmq,
      'RabbitMQ',
      'install rabbitmq-server; these tests stop and kill a node of their own',
    )
    return
  }
  const place = { programs, folder: join(folder, 'rabbitmq'), port: await freePorts() }
  const node = new RabbitNode(place)
  closing.push(() => node.end())
  await node.start()
  process.env[VARIABLES.rabbitmq] = JSON.stringify({ place })
  // For what these tests share with the others.
  process.env.TEST_AMQP_URL = node.url
}

async function startPostgres(folder: string, closing: (() => void)[]): Promise<void> {
  if (postgresPrograms() === undefined)
    await findPostgres({ log: (line) => console.log(`PostgreSQL: ${line}`) })
  const programs = postgresPrograms()
  if (programs === undefined) {
    missing(
      VARIABLES.postgres,
      'PostgreSQL',
      'install postgresql; these tests stop and kill a server of their own',
    )
    return
  }
  const place = { programs, folder: join(folder, 'postgres'), port: await freePorts() }
  const cluster = new PostgresCluster(place)
  cluster.create()
  closing.push(() => cluster.stop('immediate'))
  cluster.start()
  process.env[VARIABLES.postgres] = JSON.stringify({ place })
}

function missing(variable: string, name: string, how: string): void {
  if (process.env.CI) throw new Error(`${name} is needed here: ${how}`)
  process.env[variable] = JSON.stringify({ missing: `no ${name}: ${how}` })
  console.warn(`\nSKIPPED: faults of ${name} (${how})\n`)
}
