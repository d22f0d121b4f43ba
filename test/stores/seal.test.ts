import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { readSecretKeys } from '../../src/stores/key-file.ts'
import { openSealer } from '../../src/stores/seal.ts'

const key = (kid: string, byte: number) => `${kid}:${Buffer.alloc(32, byte).toString('base64')}`
const place = { table: 'tokens', row: 'm/app/1', column: 'access_token' }

describe('a sealer', () => {
  it('gives every text back, sealed differently each time', () => {
    const sealer = openSealer({ keys: key('k1', 1) })
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (secret) => {
        const sealed = sealer.seal(place, secret)
        expect(sealed).toMatch(/^v1\.k1\.[\w-]{16}\.[\w-]+$/)
        expect(sealer.seal(place, secret)).not.toBe(sealed)
        expect(sealer.open(place, sealed)).toBe(secret)
      }),
    )
  })

  it('opens with every key and seals with the first', () => {
    const old = openSealer({ keys: key('k1', 1) }).seal(place, 'secret')
    const sealer = openSealer({ keys: `${key('k2', 2)}, ${key('k1', 1)}` })
    expect(sealer.open(place, old)).toBe('secret')
    expect(sealer.seal(place, 'x')).toMatch(/^v1\.k2\./)
    expect([sealer.active, sealer.kids]).toEqual(['k2', ['k2', 'k1']])
  })

  it('opens nothing in another table, row or column, under another name, or with one bit changed', () => {
    const sealer = openSealer({ keys: [key('k1', 1), key('k2', 1)] })
    const sealed = sealer.seal(place, 'secret')
    const elsewhere = [
      { ...place, table: 'spare_tokens' },
      { ...place, row: 'm/app/2' },
      { ...place, column: 'refresh_token' },
      { table: 'tokens|m/app/1', row: 'access_token', column: '' },
    ]
    for (const other of elsewhere) {
      expect(() => sealer.open(other, sealed)).toThrow(expect.objectContaining({ code: 'SECRET_DAMAGED' }))
    }
    expect(() => sealer.open(place, sealed.replace('.k1.', '.k2.'))).toThrow(/does not open with the key k2/)
    const bytes = Buffer.from(sealed.split('.')[3]!, 'base64url')
    for (let i = 0; i < bytes.length; i++) {
      const changed = Buffer.from(bytes)
      changed[i]! ^= 1
      const text = [...sealed.split('.').slice(0, 3), changed.toString('base64url')].join('.')
      expect(() => sealer.open(place, text)).toThrow(expect.objectContaining({ code: 'SECRET_DAMAGED' }))
    }
  })

  it.each([
    ['', 'not written as name:base64'],
    ['no colon', 'not written as name:base64'],
    ['bad name!:AAAA', 'not written as name:base64'],
    [`k1:${Buffer.alloc(16).toString('base64')}`, 'k1 has 16 bytes instead of 32'],
    [`${key('k1', 1)},${key('k1', 2)}`, 'k1 is there twice'],
  ])('refuses the keys %j in words, without repeating them', (keys, words) => {
    const open = () => openSealer({ keys })
    expect(open).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(words) }),
    )
    expect(open).not.toThrow(keys.split(':')[1]?.slice(0, 8) || 'nothing')
  })
})

describe('the secret key', () => {
  const folder = mkdtempSync(join(tmpdir(), 'b24-key-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'data', 'secret.key')

  it('is the given one, whatever lies in the file', () => {
    const given = key('k1', 1)
    expect(readSecretKeys({ given, production: true, file })).toBe(given)
  })

  it('must be given in production', () => {
    const read = () => readSecretKeys({ given: ' ', production: true, file })
    expect(read).toThrow(/BRIDGE_SECRET_KEY is not set/)
    expect(() => statSync(file)).toThrow()
  })

  it('is made once for local use, in a file that only its owner reads', () => {
    const read = () => readSecretKeys({ given: undefined, production: false, file })
    const made = read()
    expect(openSealer({ keys: made }).active).toBe('local')
    expect(read()).toBe(made)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    writeFileSync(file, `${key('new', 5)}\n${readFileSync(file, 'utf8')}`)
    expect(openSealer({ keys: read() }).kids).toEqual(['new', 'local'])
  })

  it('says which file cannot be used', () => {
    const read = () => readSecretKeys({ given: undefined, production: false, file: join(file, 'below') })
    expect(read).toThrow(/secret\.key/)
  })
})
