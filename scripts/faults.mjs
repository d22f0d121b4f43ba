// What `npm run test:faults` runs: the fault suite, and after it the account of every run as one table.
// `--long` (or FAULTS_LONG=1) runs more of everything; FAULTS_SEED repeats the choices of an earlier run.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const folder = mkdtempSync(join(tmpdir(), 'b24-faults-account-'))
const account = join(folder, 'account.jsonl')
const report = join(folder, 'report.json')
const seed = process.env.FAULTS_SEED || String(Math.floor(Math.random() * 2 ** 31))
const words = process.argv.slice(2)
const long = words.includes('--long') || process.env.FAULTS_LONG === '1'
const env = { ...process.env, FAULTS_ACCOUNT: account, FAULTS_SEED: seed, FAULTS_LONG: long ? '1' : '' }

console.log(
  `Seed ${seed}${long ? ', the long profile' : ''}. FAULTS_SEED=${seed} makes the same choices again.`,
)
const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'vitest.faults.config.ts']
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
const rest = words.filter((word) => word !== '--long')
const startedAt = Date.now()
// Twice what they take on two cores.
const limits = long ? {} : { timeout: 1_200_000, killSignal: 'SIGKILL' }
const run = spawnSync(process.execPath, [...vitest, ...reporters, ...rest], {
  stdio: 'inherit',
  env,
  ...limits,
})

const lines = read(account).split('\n').filter(Boolean)
console.log(`\n${table(lines.map((line) => JSON.parse(line)))}\n`)
const { numPassedTests = 0, numFailedTests = 0 } = JSON.parse(read(report) || '{}')
rmSync(folder, { recursive: true, force: true })
const code = run.status ?? 1
// A file that cannot even be loaded holds no failed test.
const broken = code !== 0 && numFailedTests === 0 ? 1 : 0
const seconds = Math.round((Date.now() - startedAt) / 1000)
console.log(`${numPassedTests} passed, ${numFailedTests + broken} failed in ${seconds} s, seed ${seed}`)
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
