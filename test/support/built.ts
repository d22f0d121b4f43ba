import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { beforeAll } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const VARIABLE = 'TEST_BUILT'

/** For the set-up of a run: the place where the first test that needs the built program builds it. Gives how to tidy up. */
export function placeForBuilt(): () => void {
  // Inside node_modules, so that the built files find their dependencies.
  const folder = join(ROOT, 'node_modules', '.cache', `b24-tests-${process.pid}`)
  process.env[VARIABLE] = folder
  return () => rmSync(folder, { recursive: true, force: true })
}

/** The folder of the built program: `dist`, `package.json`. */
export function builtFolder(): string {
  return process.env[VARIABLE] as string
}

/** The command line of the built program. */
export function builtMain(): string {
  return join(builtFolder(), 'dist', 'cli', 'main.js')
}

/** The program is built before the tests of this file, once for all files of a run. */
export function needsBuilt(): void {
  beforeAll(build, 180_000)
}

/** Builds it, or waits for whoever does. */
export async function build(): Promise<void> {
  const folder = builtFolder()
  mkdirSync(folder, { recursive: true })
  const finished = join(folder, 'package.json')
  if (isFirst(folder)) {
    const half = join(folder, 'half')
    const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
    const words = ['-p', join(ROOT, 'tsconfig.build.json'), '--outDir', half]
    const run = spawnSync(tsc, words, { encoding: 'utf8' })
    // Types are looked at by `npm run types`; what matters here is what comes out.
    if (!existsSync(join(half, 'cli', 'main.js'))) throw new Error(`The build failed: ${run.stdout}`)
    renameSync(half, join(folder, 'dist'))
    cpSync(join(ROOT, 'package.json'), finished)
  }
  for (const end = Date.now() + 120_000; !existsSync(finished); await sleep(100))
    if (Date.now() > end) throw new Error('Nobody has finished the build')
}

function isFirst(folder: string): boolean {
  try {
    writeFileSync(join(folder, 'building'), String(process.pid), { flag: 'wx' })
    return true
  } catch {
    return false
  }
}
