#!/usr/bin/env node
import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { EXIT, exitCodeOf } from './exit-codes.ts'
import type { CliIo } from './io.ts'
import { runAsProcess } from './process.ts'
import { createProgram } from './program.ts'
import { reportError, understand } from './report.ts'

/**
 * One call of the command line: `argv` are the words behind the program's name. Resolves to the exit code and never
 * rejects; errors are written to `io.stderr`, with `--json` as JSON.
 */
export async function main(argv: readonly string[], io: CliIo): Promise<number> {
  let code: number = EXIT.ok
  const watched: CliIo = {
    ...io,
    exit: (wanted) => {
      code = wanted
    },
  }
  try {
    const words = argv.length === 0 ? ['--help'] : [...argv]
    await createProgram(watched).parseAsync(words, { from: 'user' })
  } catch (thrown) {
    const error = understand(thrown)
    code = exitCodeOf(error, io.signal.aborted)
    reportError(io, error, { json: argv.includes('--json'), exitCode: code })
  }
  io.exit(code)
  return code
}

const script = process.argv[1]
if (script !== undefined && realpathSync(script) === fileURLToPath(import.meta.url)) await runAsProcess(main)
