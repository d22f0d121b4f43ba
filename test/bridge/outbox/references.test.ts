import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fillReferences, referencesIn, valueAt } from '../../../src/bridge/outbox/references.ts'
import type { Json } from '../../../src/model/json.ts'

const RESULT: Json = { ID: 7, TITLE: 'a "b"', ok: false, item: { id: 9, tags: ['x', { y: 1 }] }, none: null }
const fill = (value: Json) => fillReferences(value, (reference) => valueAt(RESULT, reference))
const codeOf = (value: Json) => {
  try {
    fill(value)
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe('references', () => {
  it('that stand alone become the value with its type', () => {
    expect(fill({ id: '{{result.ID}}', all: ['{{ result.item }}'], whole: '{{result}}' })).toEqual({
      id: 7,
      all: [{ id: 9, tags: ['x', { y: 1 }] }],
      whole: RESULT,
    })
  })

  it('inside of a text become text', () => {
    expect(fill('Deal {{result.ID}}: {{result.TITLE}}, {{result.item.tags.1.y}}, {{result.ok}}')).toBe(
      'Deal 7: a "b", 1, false',
    )
  })

  it.each([
    ['{{result.NO}}', 'CHAIN_REFERENCE_MISSING'],
    ['{{result.none}}', 'CHAIN_REFERENCE_MISSING'],
    ['{{result.item.tags.2}}', 'CHAIN_REFERENCE_MISSING'],
    ['{{result.item.tags.length}}', 'CHAIN_REFERENCE_MISSING'],
    ['{{result.constructor}}', 'CHAIN_REFERENCE_MISSING'],
    ['{{result.TITLE.length}}', 'CHAIN_REFERENCE_MISSING'],
    ['a {{result.item}}', 'CHAIN_REFERENCE_INVALID'],
    ['{{resul.ID}}', 'CHAIN_REFERENCE_INVALID'],
    ['{{}}', 'CHAIN_REFERENCE_INVALID'],
    ['{{result..ID}}', 'CHAIN_REFERENCE_INVALID'],
    ['{{steps.x.result}}', 'CHAIN_REFERENCE_INVALID'],
  ])('like %s are refused with %s', (text, code) => {
    expect(codeOf(text)).toBe(code)
  })

  it('can be kept from being read', () => {
    expect(fill('\\{{result.ID}} is {{result.ID}}')).toBe('{{result.ID}} is 7')
    expect(referencesIn(['\\{{result.ID}}', { a: 'x {{steps.2.result.a.b}}' }])).toEqual([
      { text: 'steps.2.result.a.b', step: 2, path: ['a', 'b'] },
    ])
  })

  it('leave everything else as it is, and never look at what was put in', () => {
    const plain = fc.jsonValue().filter((value) => !JSON.stringify(value).includes('{{'))
    fc.assert(fc.property(plain, (value) => void expect(fill(value as Json)).toEqual(value)))
    expect(fillReferences(['{{result}}', 'x {{result}}'], () => '{{result.ID}}')).toEqual([
      '{{result.ID}}',
      'x {{result.ID}}',
    ])
  })
})
