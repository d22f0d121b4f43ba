import { describe, expect, it } from 'vitest'
import { editMessage, type LetterEdit } from '../../../src/bridge/dead/edit.ts'
import type { Message } from '../../../src/brokers/broker.ts'

const edited = (
  body: string,
  edit: LetterEdit,
  contract = 'native',
  headers: Message['headers'] = {},
): string => editMessage({ body: Buffer.from(body), headers }, contract, edit).body.toString()

describe('a letter is edited', () => {
  it.each([
    ['{"method":"a","x":1.50}', { method: 'b' }, '{"method":"b","x":1.50}'],
    ['{}', { method: 'b' }, '{"method":"b"}'],
    [' { "x" : 1 }', { method: 'b' }, ' {"method":"b", "x" : 1 }'],
    ['{"method":"a","params":{"a":1}}', { params: { b: 2 } }, '{"method":"a","params":{"b":2}}'],
    ['{"params":[1]}', { params: [2] }, '{"params":[2]}'],
    ['{"params":[]}', { params: () => ({ b: 2 }) }, '{"params":{"b":2}}'],
    ['{"m":"a"}', { params: (before) => ({ ...before, b: 2 }) }, '{"params":{"b":2},"m":"a"}'],
    [
      '{"params":{"a":1},"params":{"a":2}}',
      { params: (before) => ({ ...before, b: 3 }) },
      '{"params":{"a":1},"params":{"a":2,"b":3}}',
    ],
    ['rubbish', { body: Buffer.from('{"method":"a"}'), method: 'b' }, '{"method":"b"}'],
  ] as [string, LetterEdit, string][])('in its JSON, the rest to the byte: %s', (body, edit, expected) => {
    expect(edited(body, edit)).toBe(expected)
  })

  it('in header and body where its contract has them there, told by the message itself for others', () => {
    const message = { body: Buffer.from(' {"id": 1.0}'), headers: { method: 'a', n: 7 } }
    for (const contract of ['rabbitmq-to-bitrix24', undefined]) {
      const named = editMessage(message, contract, { method: 'b' })
      expect(named.headers).toEqual({ method: 'b', n: 7 })
      expect(named.body.toString()).toBe(' {"id": 1.0}')
    }
    const more = { params: (before: object) => ({ ...before, x: 2 }) }
    expect(edited(' {"id": 1.0}', more, 'rabbitmq-to-bitrix24')).toBe('{"id":1,"x":2}')
    expect(edited('', more, 'rabbitmq-to-bitrix24')).toBe('{"x":2}')
    expect(message.headers).toEqual({ method: 'a', n: 7 })
  })

  it('in its headers, set and removed', () => {
    const { headers } = editMessage({ body: Buffer.alloc(0), headers: { a: 1, b: 'x' } }, 'native', {
      headers: { b: null, c: 'y' },
    })
    expect(headers).toEqual({ a: 1, c: 'y' })
  })

  it.each(['rubbish', '[1]', '"text"', '{"params":7}', ''])('only where it can be: %s', (body) => {
    expect(() => edited(body, { params: (before) => before })).toThrow(
      expect.objectContaining({ code: 'EDIT_IMPOSSIBLE' }),
    )
  })
})
