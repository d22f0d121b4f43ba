import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Environment } from '../../../src/config/read.ts'

const PRELOAD = fileURLToPath(new URL('./wrong-clock.mjs', import.meta.url))

/** What a bridge is started with so that its wall clock can be set wrong, and how that is done. */
export function wrongClock(folder: string): {
  readonly env: Environment
  readonly nodeFlags: readonly string[]
  /** From now on its clock is off by so much; heard within a tenth of a second. */
  jump(ms: number): void
} {
  const file = join(folder, 'clock')
  const jump = (ms: number): void => writeFileSync(file, String(ms))
  jump(0)
  return { env: { FAULTS_CLOCK: file }, nodeFlags: ['--import', PRELOAD], jump }
}
