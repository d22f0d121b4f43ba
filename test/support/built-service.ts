import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, onTestFinished } from 'vitest'
import { eventually } from '../conformance/broker.ts'
import type { Bench } from './bridge.ts'
import { builtMain } from './built.ts'

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
  const child = spawn(process.execPath, [builtMain(), 'run'], {
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
