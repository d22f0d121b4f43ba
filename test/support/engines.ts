import { findRabbitmq } from '../../scripts/rabbitmq.mjs'

/**
 * Runs once before all tests: finds or starts the engines that some of them need and leaves their addresses in the
 * environment. A missing one fails the run where `CI` is set; elsewhere its tests are skipped, and say so.
 */
export default async function setup(): Promise<void> {
  const rabbitmq = await findRabbitmq({ log: (line) => console.log(`rabbitmq: ${line}`) })
  if ('url' in rabbitmq) {
    process.env.TEST_AMQP_URL = rabbitmq.url
    return
  }
  if (process.env.CI) throw new Error(`RabbitMQ is needed here: ${rabbitmq.missing}`)
  process.env.TEST_AMQP_MISSING = rabbitmq.missing
  console.warn(`\nSKIPPED: tests on RabbitMQ (${rabbitmq.missing})\n`)
}

/** The address of the RabbitMQ to test on; `undefined` when its tests are skipped. */
export const amqpUrl = process.env.TEST_AMQP_MISSING ? undefined : process.env.TEST_AMQP_URL

/** For titles: why tests on RabbitMQ are skipped, or nothing. */
export const amqpNote =
  amqpUrl === undefined ? ` (skipped: ${process.env.TEST_AMQP_MISSING ?? 'no RabbitMQ'})` : ''
