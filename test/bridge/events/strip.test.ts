import fc from 'fast-check'
import { expect, it } from 'vitest'
import { secretsIn, stripTokens } from '../../../src/bridge/events/strip.ts'
import type { JsonObject } from '../../../src/model/json.ts'

const TOKEN = 'be45a1660071a6c200674a9600000001'

it('leaves out what holds a token, at any depth and in any case of letters', () => {
  const form = {
    event: 'ONIMBOTMESSAGEADD',
    event_token: 'kept-0123456789abcdef',
    auth: { access_token: TOKEN, domain: 'a.b' },
    data: {
      BOT: { 567: { access_token: TOKEN, AUTH: { refresh_token: TOKEN }, BOT_ID: '567' } },
      bot: { id: '1', auth: { access_token: TOKEN } },
      list: [{ Application_Token: TOKEN, x: '1' }],
    },
  }
  expect(stripTokens(form, secretsIn(form))).toEqual({
    event: 'ONIMBOTMESSAGEADD',
    event_token: 'kept-0123456789abcdef',
    data: { BOT: { 567: { BOT_ID: '567' } }, bot: { id: '1' }, list: [{ x: '1' }] },
  })
})

it('masks a token that stands inside another text, or is a name', () => {
  const form = { auth: { access_token: TOKEN }, data: { text: `see ${TOKEN}!`, [TOKEN]: 'x', list: [TOKEN] } }
  expect(stripTokens(form, secretsIn(form))).toEqual({
    data: { text: 'see •••!', '•••': 'x', list: ['•••'] },
  })
})

it('lets no token through, wherever it was put', () => {
  const secretName = fc.constantFrom('access_token', 'REFRESH_TOKEN', 'application_token', 'AUTH_ID', 'Auth')
  const { node } = fc.letrec((tie) => ({
    node: fc.oneof(
      { depthSize: 'medium' },
      fc.string({ maxLength: 8 }),
      fc.string({ maxLength: 5 }).map((around) => `${around}${TOKEN}${around}`),
      fc.array(tie('node'), { maxLength: 3 }),
      fc.dictionary(fc.oneof(secretName, fc.string({ maxLength: 6 }), fc.constant(TOKEN)), tie('node'), {
        maxKeys: 3,
      }),
    ),
  }))
  fc.assert(
    fc.property(fc.dictionary(fc.string({ maxLength: 6 }), node, { maxKeys: 4 }), (data) => {
      const form = { auth: { access_token: TOKEN }, data } as unknown as JsonObject
      expect(JSON.stringify(stripTokens(form, secretsIn(form)))).not.toContain(TOKEN)
    }),
    { numRuns: 500 },
  )
})
