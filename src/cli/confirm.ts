import { createInterface } from 'node:readline/promises'
import { CommandError } from '../model/errors.ts'
import type { CliIo } from './io.ts'

/** Asks and goes on after a yes; rejects with a `CommandError` `NOT_CONFIRMED` otherwise, and where nobody is there. */
export async function confirm(io: CliIo, question: string): Promise<void> {
  const refused = (why: string): CommandError =>
    new CommandError('NOT_CONFIRMED', why, { hint: 'Nothing was deleted. Type yes, or give --yes.' })
  if (io.stdout.isTTY !== true) throw refused('This deletes something and nobody is there to be asked.')
  const lines = createInterface({ input: io.stdin, output: io.stdout })
  try {
    const answer = await lines.question(`${question} Type yes: `, { signal: io.signal })
    if (answer.trim().toLowerCase() !== 'yes') throw refused('The answer was not yes.')
  } finally {
    lines.close()
  }
}
