import { describe, expect, it } from 'vitest'
import { parseStoreAddress } from '../../src/stores/address.ts'

describe('the address of a store', () => {
  it.each([
    ['sqlite:./data/bridge.db', { engine: 'sqlite', path: './data/bridge.db' }],
    ['sqlite:///var/lib/bridge.db', { engine: 'sqlite', path: '/var/lib/bridge.db' }],
    [
      'postgres://bridge:p%40ss@db.example.com/b24?pool=20&schema=bridge',
      {
        engine: 'postgres',
        host: 'db.example.com',
        port: 5432,
        user: 'bridge',
        password: 'p@ss',
        pool: 20,
        schema: 'bridge',
        label: 'postgres://db.example.com:5432/b24?schema=bridge',
      },
    ],
    ['postgresql://u@[::1]:5433/b24', { engine: 'postgres', host: '::1', port: 5433, password: '' }],
    ['mariadb://u:p@h/b24', { engine: 'mysql', port: 3306, label: 'mariadb://h:3306/b24' }],
    [
      'mysql://u:p@localhost/b24?socket=/run/mysqld/mysqld.sock',
      { engine: 'mysql', socket: '/run/mysqld/mysqld.sock' },
    ],
    ['mssql://sa:p@h/b24?sslmode=require', { engine: 'mssql', port: 1433, tls: { verify: false } }],
    ['postgres://u:p@h/b24?sslmode=verify-full', { tls: { verify: true } }],
  ])('is read from %s', (text, expected) => {
    const address = parseStoreAddress(text)
    expect(address).toMatchObject(expected)
    expect(address.label).not.toMatch(/p@ss|p%40ss|:p@/)
  })

  it.each([
    ['./bridge.db', /has no scheme/],
    ['oracle://u:secret@h/db', /begins with oracle:/],
    ['postgres://u:sec ret@h:port/db', /cannot be read/],
    ['postgres://u:secret@h', /names no database/],
    ['postgres://h/db', /names no user/],
    ['postgres://u:secret%@h/db', /password that cannot be decoded/],
    ['postgres://u:secret@h/db?poool=1', /unknown parameter poool/],
    ['postgres://u:secret@h/db?pool=0', /pool that is no number/],
    ['mysql://u:secret@h/db?schema=x', /schema that cannot be used/],
    ['postgres://u:secret@h/db?schema=a,b', /schema that cannot be used/],
    ['postgres://u:secret@h/db?sslmode=prefer', /sslmode other than/],
    ['postgres://u:secret@h/db?sslrootcert=/no/such/file', /sslrootcert that cannot be read/],
  ])('is refused as %s, in words that do not repeat it', (text, words) => {
    const parse = () => parseStoreAddress(text)
    expect(parse).toThrow(words)
    expect(parse).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    expect(parse).not.toThrow('secret')
  })
})
