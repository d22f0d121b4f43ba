import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { builtMain, needsBuilt } from '../support/built.ts'
import { emptyFolder } from './support/command-line.ts'

describe('the built program', () => {
  needsBuilt()
  let bin: string
  beforeAll(() => {
    bin = join(emptyFolder(), 'b24-bridge')
    symlinkSync(builtMain(), bin)
  })

  function start(...words: string[]) {
    return spawn(process.execPath, [bin, ...words], { cwd: emptyFolder(), env: {} })
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
