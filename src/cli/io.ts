import type { Readable, Writable } from 'node:stream'

/** The world of one command line call, passed in so that tests can run commands without a process. */
export interface CliIo {
  readonly stdin: Readable
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number }
  readonly stderr: Writable & { readonly isTTY?: boolean }
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** Aborts on the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal
  /** Sets the exit code of the call; the last one counts. */
  exit(code: number): void
}
