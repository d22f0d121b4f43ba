import { Command } from 'commander'
import {
  createOfflineErrors,
  type ErrorPage,
  type OfflineErrors,
} from '../../bridge/events/offline/errors.ts'
import { queueFacts } from '../../bridge/events/offline/errors-view.ts'
import type { Config } from '../../config/config.ts'
import { exitCodeOf } from '../exit-codes.ts'
import { stopIfInterrupted } from '../interrupted.ts'
import type { CliIo } from '../io.ts'
import { queueLines } from '../offline-view.ts'
import { withPortals } from '../portals/lanes.ts'
import { printJson, printLines } from '../report.ts'
import { addSettingFlags, configOf } from '../settings.ts'
import { withVault } from '../vault.ts'

const QUEUES_A_PAGE = 20

/** `b24-bridge events errors`: offline events that portals hide, because the broker will never take them. */
export function errorsCommand(io: CliIo): Command {
  const command = new Command('errors')
    .description('Show offline events that portals hide because no broker took them')
    .argument('[portal]', 'member id, domain or alias; all without')
    .option('--json', 'as one line of JSON')
    .action(async (portal: string | undefined, flags: { readonly json?: boolean }) => {
      const queues: ErrorPage['queues'][number][] = []
      await withErrors(configOf(command, io), io, async (errors) => {
        const of = portal === undefined ? {} : { portal }
        for (let after: string | undefined; ; ) {
          const page = { ...of, ...(after === undefined ? {} : { after }), limit: QUEUES_A_PAGE }
          const found = await errors.list(page)
          if (flags.json !== true) printLines(io, found.queues.flatMap(queueLines))
          queues.push(...found.queues)
          after = found.next
          if (after === undefined || io.signal.aborted) return
        }
      })
      stopIfInterrupted(io, 'Other portals were not asked.')
      const error = queues.find((one) => one.error !== undefined)?.error
      if (error !== undefined) io.exit(exitCodeOf(error))
      if (flags.json === true) printJson(io, { ok: error === undefined, queues: queues.map(queueFacts) })
      else if (queues.length === 0) printLines(io, ['Nothing is hidden.'])
    })
  return addSettingFlags(command)
}

interface ReleaseFlags {
  readonly app?: string
  readonly connector?: string
  readonly json?: boolean
}

/** `b24-bridge events release`: what is hidden is offered to the broker again, by the service that is running. */
export function releaseCommand(io: CliIo): Command {
  const command = new Command('release')
    .description('Offer hidden offline events of a portal to the broker again')
    .argument('<portal>', 'member id, domain or alias')
    .option('--app <client-id>', 'only those of this application')
    .option('--connector <name>', 'only those of this connector')
    .option('--json', 'as one line of JSON')
    .action(async (portal: string, { app: clientId, connector, json }: ReleaseFlags) => {
      const released = await withErrors(configOf(command, io), io, (errors) =>
        errors.release({ portal, clientId, connector }),
      )
      if (json === true) printJson(io, { released })
      else printLines(io, [`released: ${released} event${released === 1 ? '' : 's'}`])
    })
  return addSettingFlags(command)
}

/** Beside a service that may be running. */
function withErrors<R>(config: Config, io: CliIo, work: (errors: OfflineErrors) => Promise<R>): Promise<R> {
  return withVault(config, async (vault) => {
    const { offlineQueries } = await import('../../stores/offline.ts')
    const { limit } = config.events.offline
    return withPortals({ config, cwd: io.cwd }, vault, ({ portals }) =>
      work(createOfflineErrors({ portals, store: offlineQueries(vault.store), limit })),
    )
  })
}
