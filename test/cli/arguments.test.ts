import { describe, expect, test } from 'vitest'
import { parseKeyValues, parseParams } from '../../src/cli/arguments.ts'

describe('parameters on the command line', () => {
  test.each<[string[], object]>([
    [['id=7'], { id: '7' }],
    [['id:=7'], { id: 7 }],
    [['title=a=b:=c'], { title: 'a=b:=c' }],
    [['empty='], { empty: '' }],
    [['filter[>ID]=5'], { filter: { '>ID': '5' } }],
    [['filter[>=DATE]=2026-01-01'], { filter: { '>=DATE': '2026-01-01' } }],
    [
      ['filter[!=STAGE_ID]=NEW', 'filter[=%TITLE]:="mol%"'],
      { filter: { '!=STAGE_ID': 'NEW', '=%TITLE': 'mol%' } },
    ],
    [['select[]=ID', 'select[]=TITLE'], { select: ['ID', 'TITLE'] }],
    [['select:=["ID"]', 'select[]=TITLE'], { select: ['ID', 'TITLE'] }],
    [
      ['fields[PHONE][0][VALUE]=1', 'fields[PHONE][0][TYPE]=WORK'],
      { fields: { PHONE: [{ VALUE: '1', TYPE: 'WORK' }] } },
    ],
    [['filter[@ID][]=1', 'filter[@ID][]=2'], { filter: { '@ID': ['1', '2'] } }],
    [['a[5]=x'], { a: { 5: 'x' } }],
    [['a=1', 'a=2'], { a: '2' }],
    [['a=1', 'a[b]=2'], { a: { b: '2' } }],
    [['a:={"b":[],"c":{}}'], { a: { b: [], c: {} } }],
  ])('%j', (args, params) => {
    expect(parseKeyValues(args)).toEqual(params)
  })

  test('are laid over a base level by level', () => {
    const base = { filter: { STAGE_ID: 'NEW' }, select: ['ID'] }
    expect(parseKeyValues(['filter[>ID]=5', 'select[]=TITLE'], base)).toEqual({
      filter: { STAGE_ID: 'NEW', '>ID': '5' },
      select: ['ID', 'TITLE'],
    })
    expect(base).toEqual({ filter: { STAGE_ID: 'NEW' }, select: ['ID'] })
  })

  test('cannot reach the prototype of objects', () => {
    const params = parseKeyValues(['__proto__[polluted]=yes', 'constructor[prototype][x]=y'])
    expect({}).not.toHaveProperty('polluted')
    expect(Object.keys(params)).toEqual(['__proto__', 'constructor'])
  })

  test.each(['', 'word', '=5', ':=5', 'a[b=5', 'a[b]c=5', 'a[[b]]=5', 'a:={', 'filter[>ID]'])(
    '%j is refused',
    (arg) => {
      expect(() => parseKeyValues([arg])).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID' }))
    },
  )

  test('--params takes an object and nothing else', () => {
    expect(parseParams('{"a": 1}')).toEqual({ a: 1 })
    for (const text of ['[]', '5', '{', ''])
      expect(() => parseParams(text)).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID' }))
  })
})
