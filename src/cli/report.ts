import { CommanderError } from 'commander'
import { BridgeError, CommandError, ConfigError } from '../model/errors.ts'
import { maskSecrets } from '../model/webhook.ts'
import type { CliIo } from './io.ts'

/** Gives errors of the system that people meet a sentence of their own; leaves all others as they are. */
export function understand(error: unknown): unknown {
  if (!(error instanceof Error) || !('syscall' in error) || error.syscall !== 'listen') return error
  const { code, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number }
  const where = port === undefined ? String(address) : `${address}:${port}`
  const why = code === 'EADDRINUSE' ? 'another program listens there' : (code ?? error.message)
  return new CommandError('PORT_UNAVAILABLE', `The address ${where} cannot be listened on: ${why}.`, {
    hint: 'Choose another port (0 takes a free one), or end the other program.',
    cause: error,
  })
}

/** Writes one line of JSON for a program to read. */
export function printJson(io: Pick<CliIo, 'stdout'>, value: unknown): void {
  io.stdout.write(`${JSON.stringify(value)}\n`)
}

/** Writes lines for people. */
export function printLines(io: Pick<CliIo, 'stdout'>, lines: readonly string[]): void {
  for (const line of lines) io.stdout.write(`${line}\n`)
}

/**
 * Says on stderr why a command failed: a sentence, and what to do; with `json` one object with the same and the exit
 * code. Secrets are masked whatever the error holds.
 */
export function reportError(
  io: Pick<CliIo, 'stderr'>,
  error: unknown,
  options: { readonly json: boolean; readonly exitCode: number },
): void {
  if (error instanceof CommanderError && error.exitCode === 0) return
  const text = options.json
    ? JSON.stringify({ error: describe(error), exitCode: options.exitCode })
    : sentences(error).join('\n')
  io.stderr.write(`${maskSecrets(text)}\n`)
}

function describe(error: unknown): Record<string, unknown> {
  if (error instanceof BridgeError) {
    const { code, message, hint, retryable, mayHaveRun } = error
    const faults = error instanceof ConfigError ? { faults: error.faults } : {}
    return { code, message, ...(hint !== undefined && { hint }), retryable, mayHaveRun, ...faults }
  }
  if (error instanceof CommanderError) return { code: 'USAGE', message: usageText(error) }
  return { code: 'UNEXPECTED', message: messageOf(error) }
}

function sentences(error: unknown): string[] {
  if (error instanceof CommanderError)
    return [`error: ${usageText(error)}`, '  --help behind a command shows how it is written, with examples.']
  if (error instanceof BridgeError) {
    const hint = error.hint === undefined ? [] : [`  ${error.hint}`]
    if (error instanceof ConfigError && error.faults.length > 1)
      return [
        `error: ${error.faults.length} settings are wrong`,
        ...error.faults.map((one) => `  - ${one}`),
        ...hint,
      ]
    return [`error: ${error.message}`, ...hint]
  }
  const stack = error instanceof Error ? (error.stack ?? '').split('\n').slice(1) : []
  return [`error: ${messageOf(error)}`, '  Nobody foresaw this; please report it with these lines.', ...stack]
}

function usageText(error: CommanderError): string {
  return error.message.replace(/^error: /, '').replaceAll('\n', ' ')
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
