import { describe, expect, it } from 'vitest'
import {
  encodeBatch,
  encodeQuery,
  holdsReference,
  renameReferences,
} from '../../../src/client/batch/encode.ts'

describe('the query text of a batch command', () => {
  it.each([
    [{}, ''],
    [{ id: 7, name: 'a b' }, 'id=7&name=a%20b'],
    [
      { filter: { '>=DATE': 'x&y' }, select: ['ID', '*'] },
      'filter[%3E%3DDATE]=x%26y&select[0]=ID&select[1]=*',
    ],
    [{ fields: { PHONE: [{ VALUE: '+1' }] } }, 'fields[PHONE][0][VALUE]=%2B1'],
    [{ yes: true, no: false, none: null, zero: 0, empty: '' }, 'yes=1&no=0&none=&zero=0&empty='],
    [{ filter: {}, order: [], SELECT: [], id: 1 }, 'id=1'],
    [{ text: '#?=%\n' }, 'text=%23%3F%3D%25%0A'],
    [{ lone: '\ud800' }, 'lone=%EF%BF%BD'],
    [[], ''],
  ])('of %j is %s', (params, query) => {
    expect(encodeQuery(params)).toBe(query)
  })

  it.each([{ fields: {} }, { fields: { LIST: [] } }, { list: [] }, { filter: { ID: [] } }, [1, 2]])(
    'cannot say %j',
    (params) => {
      expect(encodeQuery(params)).toBeUndefined()
    },
  )
})

describe('a reference', () => {
  it.each(['$result[a]', 'x $RESULT[a]', '%24result%5Ba%5D', '$total', '$next[a]', '$timeless', '$error[x]'])(
    'is what the portal takes for one: %s',
    (text) => expect(holdsReference(text)).toBe(true),
  )

  it.each(['result[a]', '$', '$res', '100 $ next', '$ result[a]', '$1'])('is not: %s', (text) => {
    expect(holdsReference(text)).toBe(false)
  })

  it('gets its new name wherever it stands, brackets encoded or not', () => {
    const rename = (name: string) => `<${name}>`
    expect(renameReferences('a=$result[x][ID]&b=%24total[y]', rename)).toBe(
      'a=$result[<x>][ID]&b=%24total[<y>]',
    )
    expect(renameReferences('%24result%5Ba%20b%5D%5BID%5D', rename)).toBe('%24result%5B<a b>%5D%5BID%5D')
  })
})

it('a batch is written with its commands in order', () => {
  const lines = [
    { key: 'b', method: 'user.current', query: '' },
    { key: 'a', method: 'crm.deal.get', query: 'id=1' },
  ]
  expect(encodeBatch(lines, true)).toBe('{"halt":1,"cmd":{"b":"user.current","a":"crm.deal.get?id=1"}}')
})
