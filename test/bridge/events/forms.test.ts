import fc from 'fast-check'
import { expect, it } from 'vitest'
import { parseForm } from '../../../src/bridge/events/forms.ts'
import { isJsonObject, type Json, type JsonObject } from '../../../src/model/json.ts'
import { encodeForm, type FormValue } from '../../../src/sandbox/form.ts'

it('reads what a portal posts, with brackets percent-encoded or raw', () => {
  const wanted = { event: 'ONCRMDEALADD', data: { FIELDS: { ID: '7' } }, auth: { scope: 'crm,user brief' } }
  const raw = 'event=ONCRMDEALADD&data[FIELDS][ID]=7&auth[scope]=crm,user+brief'
  expect(parseForm(raw)).toEqual(wanted)
  expect(parseForm(raw.replaceAll('[', '%5B').replaceAll(']', '%5d').replace('+', '%20'))).toEqual(wanted)
})

it('makes a list where the keys are exactly 0, 1, 2 …, in any order, and a map otherwise', () => {
  expect(parseForm('a[1]=y&a[0]=x&b[567][ID]=1&c[1]=x&d[0]=x&d[2]=y&e[00]=x')).toEqual({
    a: ['x', 'y'],
    b: { 567: { ID: '1' } },
    c: { 1: 'x' },
    d: { 0: 'x', 2: 'y' },
    e: { '00': 'x' },
  })
  expect(parseForm('a[]=x&a[]=y&b[k]=1&b[]=2&c[5]=x&c[]=y')).toEqual({
    a: ['x', 'y'],
    b: { k: '1', 0: '2' },
    c: { 5: 'x', 6: 'y' },
  })
})

it('takes the last of equal fields, whatever the shape', () => {
  expect(parseForm('a=1&a=2&b=1&b[c]=2&d[e]=1&d=2')).toEqual({ a: '2', b: { c: '2' }, d: '2' })
})

it('keeps an odd name as it is', () => {
  expect(parseForm('a[b=1&[c]=2&d]=3&=4&&e&f[g]x=5&h%20i=6')).toEqual({
    'a[b': '1',
    '[c]': '2',
    'd]': '3',
    e: '',
    f: { g: '5' },
    'h i': '6',
  })
})

it('loses no event for a wrong encoding', () => {
  expect(parseForm('a=%zz&b=100%&c=%D0%9F%D1%80&d=%CF%F0x&e=%')).toEqual({
    a: '%zz',
    b: '100%',
    c: 'Пр',
    d: '\uFFFD\uFFFDx',
    e: '%',
  })
})

it('refuses keys that mean something to objects, at any depth', () => {
  for (const name of ['__proto__', 'constructor', 'prototype', '%5f_proto__'])
    for (const text of [`${name}[x]=1`, `data[${name}]=1`, `data[a][${name}][x]=1`, `${name}=1`])
      expect(() => parseForm(text), text).toThrow('not a form')
  expect(({} as Record<string, unknown>).x).toBeUndefined()
})

it('refuses more brackets and more fields than any portal sends', () => {
  expect(() => parseForm(`a${'[b]'.repeat(10_000)}=1`)).toThrow('not a form')
  expect(() => parseForm(`a${'[b]'.repeat(21)}=1`)).toThrow('not a form')
  expect(parseForm(`a${'[b]'.repeat(20)}=1`)).toBeTypeOf('object')
  const many = Array.from({ length: 10_001 }, (_, index) => `k${index}=1`).join('&')
  expect(() => parseForm(many)).toThrow('not a form')
  expect(Object.keys(parseForm(many.slice(0, many.lastIndexOf('&'))))).toHaveLength(10_000)
  expect(parseForm('&'.repeat(1_000_000))).toEqual({})
})

/** Maps whose keys never look like a list's, and lists: what PHP and JSON have in common. */
const text = fc.string({ unit: 'grapheme', maxLength: 20 })
const name = fc
  .stringMatching(/^[A-Za-z_][\w -]{0,10}$/)
  .filter((one) => !/^(?:__proto__|constructor|prototype)$/.test(one))
const { tree } = fc.letrec((tie) => ({
  tree: fc.dictionary(name, tie('value'), { minKeys: 1, maxKeys: 4 }),
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    text,
    fc.array(tie('value'), { minLength: 1, maxLength: 3 }),
    fc.dictionary(name, tie('value'), { minKeys: 1, maxKeys: 3 }),
  ),
}))

it('reads back whatever the sandbox writes as PHP would', () => {
  fc.assert(
    fc.property(tree as fc.Arbitrary<{ [name: string]: FormValue }>, (value) => {
      expect(parseForm(encodeForm(value))).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})

it('gives an object of texts, lists and maps, or refuses, for any text at all', () => {
  const pieces = fc.constantFrom(
    'a',
    '[',
    ']',
    '=',
    '&',
    '%',
    '+',
    '0',
    '1',
    '%5B',
    '%5D',
    '[]',
    '\u0000',
    'é',
    '__proto__',
  )
  const garbage = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.array(pieces, { maxLength: 30 }).map((all) => all.join('')),
  )
  fc.assert(
    fc.property(garbage, (posted) => {
      let form: JsonObject
      try {
        form = parseForm(posted)
      } catch (error) {
        expect(error).toMatchObject({ code: 'FORM_INVALID' })
        return
      }
      expect(isOfTexts(form)).toBe(true)
      expect(Object.getPrototypeOf(form)).toBe(Object.prototype)
    }),
    { numRuns: 500 },
  )
})

function isOfTexts(value: Json): boolean {
  if (typeof value === 'string') return true
  if (Array.isArray(value)) return value.length > 0 && value.every(isOfTexts)
  return isJsonObject(value) && Object.values(value).every(isOfTexts)
}
