import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { emptyFolder, run } from './support/command-line.ts'

const K1 = `k1:${Buffer.alloc(32, 1).toString('base64')}`
const K2 = `k2:${Buffer.alloc(32, 2).toString('base64')}`

function world(key?: string) {
  const cwd = emptyFolder()
  const base = { BRIDGE_STORE: `sqlite:${join(cwd, 'bridge.db')}` }
  const cli = (line: string, keys = key, more: Parameters<typeof run>[1] = {}) =>
    run(line.split(' '), {
      cwd,
      env: { ...base, ...(keys !== undefined && { BRIDGE_SECRET_KEY: keys }) },
      input: 'marked-client-secret',
      ...more,
    })
  return { cli, file: join(cwd, 'secret.key') }
}

describe('secrets status', () => {
  it('counts what is sealed under each key, with the key file too', async () => {
    const { cli } = world()
    expect((await cli('secrets status')).out).toBe('Nothing is sealed yet.\n')
    await cli('apps add local.one --secret-file -')
    const { code, out } = await cli('secrets status')
    expect({ code, out }).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^KEY .*\nlocal +2 +seals\n$/),
    })
  })

  it('names a key that is missing, and ends with 4', async () => {
    const { cli } = world(K1)
    await cli('apps add local.one --secret-file -')
    const { code, out } = await cli('secrets status --json', K2)
    expect(code).toBe(4)
    expect(JSON.parse(out)).toEqual({
      ok: false,
      keys: [
        { key: 'k2', secrets: 0, use: 'active' },
        { key: 'k1', secrets: 2, use: 'missing' },
      ],
    })
    const list = await cli('apps list', K2)
    expect(list).toMatchObject({ code: 4, err: expect.stringContaining('sealed under the key k1') })
  })
})

describe('secrets rotate', () => {
  it('seals everything under the first key, so that the old one is needless', async () => {
    const { cli } = world(K1)
    for (const name of ['one', 'two', 'three']) await cli(`apps add local.${name} --secret-file -`)
    const both = `${K2},${K1}`
    const before = JSON.parse((await cli('secrets status --json', both)).out)
    expect(before.keys).toContainEqual({ key: 'k1', secrets: 4, use: 'opens' })
    const { code, out, err } = await cli('secrets rotate', both)
    expect(code).toBe(0)
    expect(out).toContain('4 secrets sealed anew; all are under the key k2.')
    expect(out).toContain('Needless now: k1.')
    expect(err).toContain('applications: 4 secrets sealed anew so far')
    expect(JSON.parse((await cli('secrets rotate --json', both)).out)).toMatchObject({ resealed: 0 })
    const alone = await cli('secrets status --json', K2)
    expect(JSON.parse(alone.out)).toEqual({ ok: true, keys: [{ key: 'k2', secrets: 4, use: 'active' }] })
    expect((await cli('apps list', K2)).code).toBe(0)
    expect((await cli('apps list', K1)).code).toBe(4)
  })

  it('leads from the key file to a key of the settings', async () => {
    const { cli, file } = world()
    await cli('apps add local.one --secret-file -')
    const local = readFileSync(file, 'utf8').trim()
    expect(await cli('secrets rotate', `${K2},${local}`)).toMatchObject({
      code: 0,
      out: expect.stringContaining('Needless now: local.'),
    })
    expect((await cli('apps list', K2)).code).toBe(0)
  })

  it('can be broken off and goes on where it was', async () => {
    const { cli } = world(K1)
    await cli('apps add local.one --secret-file -')
    const broken = await cli('secrets rotate', `${K2},${K1}`, { signal: AbortSignal.abort() })
    expect(broken).toMatchObject({ code: 130, err: expect.stringContaining('start it again to go on') })
    const half = JSON.parse((await cli('secrets status --json', `${K2},${K1}`)).out)
    expect(half.keys).toMatchObject([
      { key: 'k2', secrets: 1 },
      { key: 'k1', secrets: 1 },
    ])
    const rest = await cli('secrets rotate --json', `${K2},${K1}`)
    expect(JSON.parse(rest.out)).toEqual({ resealed: 1, active: 'k2', needless: ['k1'] })
  })
})
