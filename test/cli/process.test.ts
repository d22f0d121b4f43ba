import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { emptyFolder } from './support/command-line.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
// Inside node_modules, so that the built files find their dependencies.
const BUILT = join(ROOT, 'node_modules', '.cache', `b24-cli-${process.pid}`)
const BIN = join(BUILT, 'b24-bridge')

describe('the built program', () => {
  beforeAll(() => {
    mkdirSync(BUILT, { recursive: true })
    const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
    spawnSync(tsc, ['-p', join(ROOT, 'tsconfig.build.json'), '--outDir', join(BUILT, 'dist')])
    cpSync(join(ROOT, 'package.json'), join(BUILT, 'package.json'))
    symlinkSync(join(BUILT, 'dist', 'cli', 'main.js'), BIN)
  })

  afterAll(() => rmSync(BUILT, { recursive: true, force: true }))

  function start(...words: string[]) {
    return spawn(process.execPath, [BIN, ...words], { cwd: emptyFolder(), env: {} })
  }

  it('runs by the link that npm makes, and hands on its exit code', async () => {
    const child = start('call', 'profile')
    let err = ''
    child.stderr.on('data', (chunk) => {
      err += chunk
    })
    expect(await once(child, 'exit')).toEqual([2, null])
    expect(err).toMatch(/^error: No portal is set\./)
  })

  it('ends without a word when its reader goes away', async () => {
    const child = start('config', 'print')
    child.stdout.destroy()
    let err = ''
    child.stderr.on('data', (chunk) => {
      err += chunk
    })
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(err).toBe('')
  })

  it.each(['SIGINT', 'SIGTERM'] as const)('ends a sandbox in good order on %s', async (signal) => {
    const child = start('sandbox', '--port', '0', '--deals', '1')
    await once(child.stdout, 'data')
    child.kill(signal)
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})
