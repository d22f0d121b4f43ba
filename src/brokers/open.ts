import { ConfigError } from '../model/errors.ts'
import { type AmqpBrokerOptions, openAmqpBroker } from './amqp.ts'
import type { Broker } from './broker.ts'
import { type EmbeddedBrokerOptions, openEmbeddedBroker } from './embedded.ts'

/** Which broker: the word `embedded`, or one or several `amqp://` or `amqps://` addresses. */
export type BrokerSetting = 'embedded' | (string & {}) | readonly string[]

export interface OpenBrokerOptions {
  /** Everything that the RabbitMQ driver may be told, but the address. */
  readonly amqp: Omit<AmqpBrokerOptions, 'url'>
  /** What the embedded driver needs; asked for only when it is chosen, so that no database is opened for nothing. */
  readonly embedded: () => EmbeddedBrokerOptions | Promise<EmbeddedBrokerOptions>
}

/** Opens the broker that a setting names. Rejects with a `ConfigError` when it names none. */
export async function openBroker(setting: BrokerSetting, options: OpenBrokerOptions): Promise<Broker> {
  if (setting === 'embedded') return openEmbeddedBroker(await options.embedded())
  const urls = typeof setting === 'string' ? setting.split(',').map((url) => url.trim()) : setting
  if (!urls.every((url) => /^amqps?:/i.test(url))) {
    throw new ConfigError([
      "The broker must be 'embedded' or an address that begins with amqp:// or amqps://",
    ])
  }
  return openAmqpBroker({ ...options.amqp, url: urls })
}
