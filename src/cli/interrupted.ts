import { CommandError } from '../model/errors.ts'
import type { CliIo } from './io.ts'

/** Ends a command that a signal asked to end; `hint` says what that leaves behind. */
export function stopIfInterrupted(io: Pick<CliIo, 'signal'>, hint: string): void {
  if (io.signal.aborted) throw new CommandError('INTERRUPTED', 'The command was broken off.', { hint })
}
