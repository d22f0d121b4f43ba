import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { EXIT } from '../exit-codes.ts'
import type { CliIo } from '../io.ts'
import { createServiceManager } from '../service-manager.ts'
import { addSettingFlags, configOf } from '../settings.ts'

const EXAMPLES = `
Examples:
  BRIDGE_PORTAL=https://example.bitrix24.com/rest/1/abc123/ b24-bridge run
  b24-bridge run --broker amqp://user:password@mq/ --portal https://example.bitrix24.com/rest/1/abc123/
  b24-bridge run                        with the .env of an older bridge in this folder

The first SIGTERM or SIGINT drains: nothing new is taken, what is under way ends and is answered, the rest goes back
to the queue. The second one ends at once.`

/** Past the drain, for last replies and for closing; together with it less than the 90 seconds that systemd gives. */
const CLOSING_MS = 15_000

/** `b24-bridge run`: the service. Runs until a signal; the exit code tells whether everything in hand had ended. */
export function runCommand(io: CliIo): Command {
  const own = new Command('run')
    .alias('debug')
    .description(
      'Serve the command queue: the bridge itself (`debug`, as the older program has it, logs more)',
    )
    .option('--host <host>', 'where HTTP listens (an older way to write --http)')
    .option('--port <port>', 'port of HTTP (an older way to write --http)')
    .option('--json', 'log as lines of JSON, whatever the settings say')
  const command = addSettingFlags(own)
    .addHelpText('after', EXAMPLES)
    .action(async (flags: { readonly json?: boolean }) => {
      const config = configOf(command, io)
      // Loaded here, so that no other command pays for the memory of the whole service.
      const { createLog } = await import('../../log.ts')
      const { startService } = await import('../../service.ts')
      const debug = command.parent?.args[0] === 'debug' && config.log.level === 'info'
      const { logger, flush } = createLog({
        level: debug ? 'debug' : config.log.level,
        format: flags.json === true ? 'json' : config.log.format,
      })
      const manager = createServiceManager({
        env: io.env,
        pid: process.pid,
        onTrouble: (reason) => logger.warn({ reason }, 'systemd.unreachable'),
      })
      manager.status('Starting; a broker that is away is waited for')
      try {
        const fatal = new AbortController()
        const service = await startService(config, {
          logger,
          signal: io.signal,
          onFatal: (reason) => {
            logger.fatal({ reason }, 'service.fatal')
            fatal.abort()
          },
        })
        const signal = AbortSignal.any([io.signal, fatal.signal])
        manager.ready(
          () => `Serving; ${service.inHand()} commands in hand, ${service.lanes().length} portals`,
        )
        if (!signal.aborted) await once(signal, 'abort')
        manager.stopping(`Draining; ${service.inHand()} commands in hand`)
        const bound = sleep(
          Math.max(config.drainTimeoutMs, config.drainGraceMs) + CLOSING_MS,
          'overdue' as const,
          {
            ref: false,
          },
        )
        const drained = await Promise.race([service.stop(), bound])
        if (drained === 'overdue') logger.error({ inHand: service.inHand() }, 'service.overdue')
        if (drained !== true || fatal.signal.aborted) io.exit(EXIT.unexpected)
      } catch (error) {
        // Asked to end while it still waited for its broker: nothing was in hand.
        if (!io.signal.aborted || error !== io.signal.reason) throw error
        logger.info('service.stopped')
      } finally {
        manager.close()
        flush()
      }
    })
  return command
}
