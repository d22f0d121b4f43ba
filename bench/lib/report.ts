import { cpus, release } from 'node:os'
import type { Bound, Figure } from './bench.ts'
import { keeps } from './bench.ts'

/** A figure with the bench that it came from. */
export type Result = Figure & { readonly bench: string }

/** `PASS limits: 10,000 commands, native: 76.4 s (bound: at most 80.3)`. */
export function line(result: Result): string {
  const word = result.bound === undefined ? 'INFO' : keeps(result) ? 'PASS' : 'FAIL'
  const bound = result.bound === undefined ? '' : ` (bound: ${boundText(result.bound)})`
  const baseline = result.baseline === undefined ? '' : `; ${result.baseline}`
  return `${word} ${result.bench}: ${result.name}: ${number(result.value)} ${result.unit}${bound}${baseline}`
}

/** The table that docs/performance.md quotes. */
export function table(results: readonly Result[]): string {
  const rows = results.map((result) => [
    result.bench,
    result.name,
    `${number(result.value)} ${result.unit}`,
    result.bound === undefined ? '' : boundText(result.bound),
    result.baseline ?? '',
    result.bound === undefined ? '' : keeps(result) ? 'PASS' : '**FAIL**',
  ])
  const head = ['bench', 'figure', 'measured', 'bound', 'beside it', '']
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** What the figures were taken on. */
export function machine(): string {
  return `${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), Linux ${release()}, Node ${process.versions.node}`
}

function boundText(bound: Bound): string {
  return 'most' in bound ? `at most ${number(bound.most)}` : `at least ${number(bound.least)}`
}

/** Three digits are enough for any of them; whole numbers stay whole. */
export function number(value: number): string {
  const digits = Number.isInteger(value) || Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: 0 })
}
