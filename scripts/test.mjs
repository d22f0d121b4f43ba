// What `npm test` runs: prepares the engines, runs vitest with the arguments given, and ends with one line of numbers.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findRabbitmq } from './rabbitmq.mjs'

const rabbitmq = await findRabbitmq({ log: (line) => console.log(`rabbitmq: ${line}`) })
const env = 'url' in rabbitmq ? { ...process.env, TEST_AMQP_URL: rabbitmq.url } : process.env

const folder = mkdtempSync(join(tmpdir(), 'bitrix24-bridge-tests-'))
const report = join(folder, 'report.json')
const reporters = ['--reporter=default', '--reporter=./scripts/late-files.mjs', '--reporter=json']
const words = ['node_modules/vitest/vitest.mjs', 'run', ...reporters, `--outputFile.json=${report}`]
// Half an hour is more than three times what the tests take on two cores.
const limits = { timeout: 1_800_000, killSignal: 'SIGKILL' }
const run = spawnSync(process.execPath, [...words, ...process.argv.slice(2)], {
  stdio: 'inherit',
  env,
  ...limits,
})

const { passed, failed } = readReport()
rmSync(folder, { recursive: true, force: true })
const code = run.status ?? 1
// A file that cannot even be loaded holds no failed test.
const broken = code !== 0 && failed === 0 ? 1 : 0
console.log(`${passed} passed, ${failed + broken} failed`)
process.exitCode = code

function readReport() {
  try {
    const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, 'utf8'))
    return { passed: numPassedTests, failed: numFailedTests }
  } catch {
    return { passed: 0, failed: 0 }
  }
}
