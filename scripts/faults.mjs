// What `npm run test:faults` runs: the fault suite, and after it the account of every run as one table.
// `--long` (or FAULTS_LONG=1) runs more of everything; FAULTS_SEED repeats the choices of an earlier run.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runVitest } from './run-vitest.mjs'

const folder = mkdtempSync(join(tmpdir(), 'b24-faults-account-'))
const account = join(folder, 'account.jsonl')
const seed = process.env.FAULTS_SEED || String(Math.floor(Math.random() * 2 ** 31))
const words = process.argv.slice(2)
const long = words.includes('--long') || process.env.FAULTS_LONG === '1'
const env = { ...process.env, FAULTS_ACCOUNT: account, FAULTS_SEED: seed, FAULTS_LONG: long ? '1' : '' }

console.log(
  `Seed ${seed}${long ? ', the long profile' : ''}. FAULTS_SEED=${seed} makes the same choices again.`,
)
const rest = words.filter((word) => word !== '--long')
const startedAt = Date.now()
const { code, passed, failed } = runVitest(
  ['--config', 'vitest.faults.config.ts', '--reporter=default', ...rest],
  // Twice what they take on two cores.
  { env, timeoutMs: long ? 0 : 1_200_000 },
)

const lines = read(account).split('\n').filter(Boolean)
console.log(`\n${table(lines.map((line) => JSON.parse(line)))}\n`)
rmSync(folder, { recursive: true, force: true })
const seconds = Math.round((Date.now() - startedAt) / 1000)
console.log(`${passed} passed, ${failed} failed in ${seconds} s, seed ${seed}`)
process.exitCode = code

function read(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

/** As Markdown, so that it can be kept as it is. */
function table(accounts) {
  const columns = [
    'commands',
    'done',
    'failed',
    'unknown',
    'repliedAgain',
    'sentAgain',
    'writes',
    'requests',
    'overLimit',
  ]
  const head = [
    'run',
    'injected',
    'commands',
    'done',
    'failed',
    'unknown',
    'replied again',
    'sent again',
    'writes',
    'requests',
    'over the limit',
    'seconds',
  ]
  const rows = accounts.map(({ name, faults, account: numbers, seconds }) => [
    name,
    faults.join(', '),
    ...columns.map((column) => numbers[column] ?? '–'),
    seconds.toFixed(0),
  ])
  const total = columns.map((column) =>
    accounts.reduce((sum, { account: numbers }) => sum + (numbers[column] ?? 0), 0),
  )
  rows.push(['**all**', '', ...total, accounts.reduce((sum, { seconds }) => sum + seconds, 0).toFixed(0)])
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, at) => (at < 2 ? '---' : '---:'))), ...rows.map(line)].join('\n')
}
