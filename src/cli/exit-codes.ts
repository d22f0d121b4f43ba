import { CommanderError } from 'commander'
import {
  BrokerError,
  CommandError,
  ConfigError,
  RestError,
  StoreError,
  TransportError,
} from '../model/errors.ts'

/** Every way a command can end; the only list of exit codes. */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  refused: 3,
  unreachable: 4,
  unknown: 5,
  interrupted: 130,
} as const

/** What each exit code means, for `--help` and the documentation. */
export const EXIT_MEANINGS: readonly (readonly [code: number, meaning: string])[] = [
  [EXIT.ok, 'it worked'],
  [EXIT.unexpected, 'an error that nobody foresaw; please report it'],
  [EXIT.usage, 'the command line or a setting is wrong; nothing was done'],
  [EXIT.refused, 'the portal refused the call; it was not carried out'],
  [EXIT.unreachable, 'portal, broker or store cannot be reached or used; nothing was carried out'],
  [EXIT.unknown, 'nobody knows whether the portal carried it out; look before you repeat it'],
  [EXIT.interrupted, 'it was interrupted'],
]

/** The exit code for whatever a command threw. `interrupted` tells that a signal asked the command to end. */
export function exitCodeOf(error: unknown, interrupted = false): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  if (error instanceof TransportError && error.mayHaveRun) return EXIT.unknown
  if (interrupted) return EXIT.interrupted
  if (error instanceof CommandError) return error.status >= 500 ? EXIT.unreachable : EXIT.usage
  if (error instanceof ConfigError) return EXIT.usage
  if (error instanceof RestError) return EXIT.refused
  if (error instanceof TransportError || error instanceof BrokerError || error instanceof StoreError)
    return EXIT.unreachable
  return EXIT.unexpected
}
