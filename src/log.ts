import pino, { type Logger } from 'pino'
import pretty from 'pino-pretty'
import { maskSecrets } from './model/webhook.ts'

export type { Logger } from 'pino'

/** How much is logged, and for whom. */
export interface LogOptions {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'
  /** `json`: a line an event, for machines; `pretty`: for a person at a terminal. */
  readonly format: 'json' | 'pretty'
}

/** A logger with the function that writes out what it still holds; call it before the process ends. */
export interface Log {
  readonly logger: Logger
  flush(): void
}

/** Fields that could hold a secret, wherever they stand. */
const REDACTED = [
  'token',
  'secret',
  'webhook',
  'authorization',
  'password',
  'auth',
  'access_token',
  'refresh_token',
]

/**
 * A logger to standard output. Lines are gathered and written a few times a second, so that one line a command does
 * not slow the commands down. Secrets are masked in fields by name and in every text by pattern.
 */
export function createLog(options: LogOptions): Log {
  const destination =
    options.format === 'pretty'
      ? pretty({
          colorize: process.stdout.isTTY === true,
          ignore: 'pid,hostname',
          translateTime: 'SYS:HH:MM:ss',
          sync: true,
        })
      : pino.destination({ dest: 1, sync: false, minLength: 4096 })
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: REDACTED.flatMap((name) => [name, `*.${name}`]), censor: '•••' },
      serializers: {
        err: (error: Error) => ({
          type: error.name,
          message: maskSecrets(error.message),
          stack: maskSecrets(error.stack ?? ''),
        }),
      },
    },
    destination,
  )
  const flush = (): void => {
    if ('flushSync' in destination) destination.flushSync()
  }
  if (options.format === 'json')
    setInterval(() => (destination as { flush?: () => void }).flush?.(), 500).unref()
  return { logger, flush }
}
