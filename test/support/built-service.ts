import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest'
import { eventually } from '../conformance/broker.ts'
import type { Bench } from './bridge.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
// Inside node_modules, so that the built files find their dependencies.
const BUILT = join(ROOT, 'node_modules', '.cache', `b24-service-${process.pid}`)

/** Builds the program before the tests of this file, and takes it away after them. */
export function buildService(): void {
  beforeAll(() => {
    mkdirSync(BUILT, { recursive: true })
    const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
    spawnSync(tsc, ['-p', join(ROOT, 'tsconfig.build.json'), '--outDir', join(BUILT, 'dist')])
    cpSync(join(ROOT, 'package.json'), join(BUILT, 'package.json'))
  }, 60_000)
  afterAll(() => rmSync(BUILT, { recursive: true, force: true }))
}

/** A service that runs as a process of its own. */
export interface Running {
  readonly child: ChildProcess
  readonly output: () => string
  readonly exit: Promise<unknown[]>
}

/** The built service as a process of its own; resolves when its log says `ready`. It ends with the test at the latest. */
export async function runBuilt(
  { folder, env }: Pick<Bench, 'folder' | 'env'>,
  ready = 'service.ready',
): Promise<Running> {
  const child = spawn(process.execPath, [join(BUILT, 'dist', 'cli', 'main.js'), 'run'], {
    cwd: folder,
    env: { ...env, BRIDGE_LOG_FORMAT: 'json' } as NodeJS.ProcessEnv,
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk
    })
  }
  const exit = once(child, 'exit')
  onTestFinished(() => void child.kill('SIGKILL'))
  await eventually(() => expect(output).toContain(ready), 20_000)
  return { child, output: () => output, exit }
}
