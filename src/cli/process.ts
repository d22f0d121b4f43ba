import { processEnvironment } from '../config/read.ts'
import { EXIT } from './exit-codes.ts'
import type { CliIo } from './io.ts'

const LINGER_MS = 2000

/**
 * Runs the command line as this process: its streams, its environment, its signals. The first SIGINT or SIGTERM asks
 * the command to end, the second ends it. A reader that went away (`| head`) is no error.
 */
export async function runAsProcess(
  main: (argv: readonly string[], io: CliIo) => Promise<number>,
): Promise<void> {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(EXIT.ok)
      throw error
    })
  const interrupt = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (interrupt.signal.aborted) process.exit(EXIT.interrupted)
      interrupt.abort()
    })
  const io: CliIo = {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: processEnvironment(),
    cwd: process.cwd(),
    signal: interrupt.signal,
    exit: (code) => {
      process.exitCode = code
    },
  }
  await main(process.argv.slice(2), io)
  // Asked to end, and ended: what is still open here or there is not waited for long.
  if (interrupt.signal.aborted) setTimeout(() => process.exit(), LINGER_MS).unref()
}
