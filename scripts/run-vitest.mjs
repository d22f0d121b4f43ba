import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * One run of vitest with these words: its exit code, and how many tests passed and failed. After `timeoutMs` it is killed; 0
 * is no limit.
 */
export function runVitest(words, { env, timeoutMs }) {
  const folder = mkdtempSync(join(tmpdir(), 'bitrix24-bridge-tests-'))
  const report = join(folder, 'report.json')
  const all = [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...words,
  ]
  const limits = { timeout: timeoutMs, killSignal: 'SIGKILL' }
  const run = spawnSync(process.execPath, all, { stdio: 'inherit', env, ...limits })
  const { numPassedTests = 0, numFailedTests = 0 } = readReport(report)
  rmSync(folder, { recursive: true, force: true })
  const code = run.status ?? 1
  // A file that cannot even be loaded holds no failed test.
  const broken = code !== 0 && numFailedTests === 0 ? 1 : 0
  return { code, passed: numPassedTests, failed: numFailedTests + broken }
}

function readReport(report) {
  try {
    return JSON.parse(readFileSync(report, 'utf8'))
  } catch {
    return {}
  }
}
