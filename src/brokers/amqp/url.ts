import { ConfigError } from '../../model/errors.ts'

/** One RabbitMQ address, taken apart. Only `label` may be shown: it holds no password. */
export interface AmqpEndpoint {
  readonly protocol: 'amqp' | 'amqps'
  readonly hostname: string
  readonly port: number
  readonly username: string
  readonly password: string
  readonly vhost: string
  readonly heartbeatSeconds?: number
  readonly frameMax?: number
  readonly channelMax?: number
  /** The address for logs and errors, with `***` where the password was. */
  readonly label: string
}

/**
 * Takes an `amqp://` or `amqps://` address apart. Without a path the virtual host is `/`; one named `/x` is written
 * `%2Fx`. Understands `heartbeat`, `frame_max` and `channel_max` in the query and leaves other parameters alone.
 * Throws a `ConfigError` that never repeats the text, since it may hold a password.
 *
 * https://www.rabbitmq.com/docs/uri-spec and https://www.rabbitmq.com/docs/uri-query-parameters
 */
export function parseAmqpUrl(text: string): AmqpEndpoint {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new ConfigError(['The broker address is not a URL'], {
      hint: 'Write amqp://user:password@host:5672/vhost',
    })
  }
  const protocol = url.protocol.slice(0, -1)
  if (protocol !== 'amqp' && protocol !== 'amqps') {
    throw new ConfigError([`The broker address starts with ${protocol}:, not with amqp: or amqps:`])
  }
  const anonymous = url.username === '' && url.password === ''
  const username = anonymous ? 'guest' : unescapeText(url.username)
  const hostname = url.hostname === '' ? 'localhost' : url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? (protocol === 'amqps' ? 5671 : 5672) : Number(url.port)
  const vhost = url.pathname.length > 1 ? unescapeText(url.pathname.slice(1)) : '/'
  const heartbeatSeconds = whole(url, 'heartbeat')
  const frameMax = whole(url, 'frame_max') ?? whole(url, 'frameMax')
  const channelMax = whole(url, 'channel_max') ?? whole(url, 'channelMax')
  return {
    protocol,
    hostname,
    port,
    username,
    password: anonymous ? 'guest' : unescapeText(url.password),
    vhost,
    ...(heartbeatSeconds === undefined ? {} : { heartbeatSeconds }),
    ...(frameMax === undefined ? {} : { frameMax }),
    ...(channelMax === undefined ? {} : { channelMax }),
    label: `${protocol}://${username}:***@${hostname}:${port}/${encodeURIComponent(vhost)}`,
  }
}

function unescapeText(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function whole(url: URL, name: string): number | undefined {
  const text = url.searchParams.get(name)
  if (text === null) return undefined
  if (!/^\d{1,9}$/.test(text)) throw new ConfigError([`${name} in the broker address must be a whole number`])
  return Number(text)
}
