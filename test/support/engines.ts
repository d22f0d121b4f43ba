import { findMysql, findPostgres } from '../../scripts/databases.mjs'
import { findRabbitmq } from '../../scripts/rabbitmq.mjs'
import { placeForBuilt } from './built.ts'

/** What some tests need: where its address is left, and who finds or starts it. */
const ENGINES = [
  { name: 'RabbitMQ', variable: 'TEST_AMQP', find: findRabbitmq },
  { name: 'PostgreSQL', variable: 'TEST_POSTGRES', find: findPostgres },
  { name: 'MariaDB', variable: 'TEST_MYSQL', find: findMysql },
] as const

/**
 * Runs once before all tests: finds or starts the engines that some of them need and leaves their addresses in the
 * environment, with the place for the built program. A missing one fails the run where `CI` is set; elsewhere its tests are skipped, and say so.
 */
export default async function setup(): Promise<() => void> {
  for (const { name, variable, find } of ENGINES) {
    const found = await find({ log: (line) => console.log(`${name}: ${line}`) })
    if ('url' in found) {
      process.env[`${variable}_URL`] = found.url
      continue
    }
    if (process.env.CI) throw new Error(`${name} is needed here: ${found.missing}`)
    process.env[`${variable}_MISSING`] = found.missing
    console.warn(`\nSKIPPED: tests on ${name} (${found.missing})\n`)
  }
  return placeForBuilt()
}

/** Where an engine is; the address is `undefined` when its tests are skipped, and the note says in titles why. */
function engine(name: string, variable: string): { readonly url: string | undefined; readonly note: string } {
  const missing = process.env[`${variable}_MISSING`]
  const url = missing ? undefined : process.env[`${variable}_URL`]
  return { url, note: url === undefined ? ` (skipped: ${missing ?? `no ${name}`})` : '' }
}

const amqp = engine('RabbitMQ', 'TEST_AMQP')

/** The address of the RabbitMQ to test on; `undefined` when its tests are skipped. */
export const amqpUrl = amqp.url

/** For titles: why tests on RabbitMQ are skipped, or nothing. */
export const amqpNote = amqp.note

/** A PostgreSQL whose user may create databases. */
export const postgres = engine('PostgreSQL', 'TEST_POSTGRES')

/** A MariaDB or MySQL whose user may create databases. */
export const mysql = engine('MariaDB', 'TEST_MYSQL')

/** A SQL Server whose user may create databases: only where one is named, for it can be neither found nor installed. */
export const mssql = engine('SQL Server named in TEST_MSSQL_URL', 'TEST_MSSQL')
