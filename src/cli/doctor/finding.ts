import { BridgeError } from '../../model/errors.ts'
import { maskSecrets } from '../../model/webhook.ts'
import { EXIT, exitCodeOf } from '../exit-codes.ts'

/** One line of the doctor: what was looked at, how it is, and what to do about it. */
export interface Finding {
  readonly check: string
  readonly state: 'ok' | 'warn' | 'fail'
  readonly text: string
  readonly hint?: string
  /** Of a failure: the exit code that fits it. */
  readonly exitCode?: number
}

/** All is well. */
export function ok(check: string, text: string): Finding {
  return { check, state: 'ok', text }
}

/** It works, but not as it should. */
export function warn(check: string, text: string, hint?: string): Finding {
  return { check, state: 'warn', text, ...(hint !== undefined && { hint }) }
}

/** It does not work. */
export function fail(check: string, error: unknown): Finding {
  const text = maskSecrets(error instanceof Error ? error.message : String(error))
    .split('\n')
    .join(' ')
  const hint = error instanceof BridgeError ? error.hint : undefined
  return { check, state: 'fail', text, ...(hint !== undefined && { hint }), exitCode: exitCodeOf(error) }
}

/** The exit code of a whole visit: wrong settings count most, then what cannot be reached, then what was refused. */
export function exitCodeFor(findings: readonly Finding[]): number {
  const codes = findings.map((finding) => finding.exitCode ?? EXIT.ok)
  return (
    [EXIT.usage, EXIT.unreachable, EXIT.unknown, EXIT.refused, EXIT.unexpected].find((code) =>
      codes.includes(code),
    ) ?? EXIT.ok
  )
}

const MARKS = { ok: 'ok  ', warn: 'warn', fail: 'FAIL' }

/** A finding for people, in one line. */
export function findingLine({ check, state, text, hint }: Finding): string {
  const line = `${MARKS[state]}  ${check.padEnd(8)}  ${text}`
  return hint === undefined ? line : `${line} → ${hint}`
}
