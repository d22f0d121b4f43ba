import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseLifeCycle, parsePage } from '../../../src/bridge/installs/forms.ts'
import { CommandError } from '../../../src/model/errors.ts'

const QUERY = 'DOMAIN=Example.bitrix24.com&PROTOCOL=1&LANG=en&APP_SID=0123456789abcdef0123456789abcdef'
const MEMBER = 'a223c6b3710f85df22e9377d6c4f7553'

// https://apidocs.bitrix24.com/settings/oauth/simple-way.html
describe('the form of a page', () => {
  it('is read as today’s portals post it', () => {
    const body =
      'AUTH_ID=access&AUTH_EXPIRES=3600&REFRESH_ID=refresh&SERVER_ENDPOINT=https%3A%2F%2Foauth.bitrix.info%2Frest%2F' +
      `&APPLICATION_TOKEN=app&APPLICATION_SCOPE=crm%2Cim&member_id=${MEMBER}&status=L&PLACEMENT=DEFAULT&PLACEMENT_OPTIONS=%5B%5D`
    expect(parsePage(QUERY, body)).toEqual({
      memberId: MEMBER,
      domain: 'example.bitrix24.com',
      accessToken: 'access',
      refreshToken: 'refresh',
      expiresInMs: 3_600_000,
      serverEndpoint: 'https://oauth.bitrix.info/rest/',
      applicationToken: 'app',
    })
  })

  it('is read as older portals post it, empty fields included', () => {
    const body = `${QUERY}&AUTH_ID=access&AUTH_EXPIRES=&REFRESH_ID=&APPLICATION_TOKEN=&member_id=${MEMBER}`
    expect(parsePage('', body)).toEqual({
      memberId: MEMBER,
      domain: 'example.bitrix24.com',
      accessToken: 'access',
    })
  })

  it.each([
    'AUTH_ID[]=access',
    'AUTH_ID=a&AUTH_ID=b',
    'AUTH_ID=with%20space',
    'AUTH_ID=line%0Abreak',
    `AUTH_ID=${'x'.repeat(1001)}`,
    'AUTH_ID=',
  ])('is refused with %s', (field) => {
    const read = () => parsePage(QUERY, `${field}&member_id=${MEMBER}`)
    expect(read).toThrow(expect.objectContaining({ code: 'FORM_INVALID' }))
  })
})

// https://apidocs.bitrix24.com/api-reference/common/events/index.html
describe('a life-cycle event', () => {
  const auth =
    'auth%5Baccess_token%5D=access&auth%5Brefresh_token%5D=refresh&auth%5Bexpires_in%5D=3600' +
    '&auth%5Bdomain%5D=example.bitrix24.com&auth%5Bserver_endpoint%5D=https%3A%2F%2Foauth.bitrix.info%2Frest%2F' +
    `&auth%5Bmember_id%5D=${MEMBER}&auth%5Bapplication_token%5D=app`

  it('is read with brackets as they are or encoded, in capitals or not', () => {
    const encoded = parseLifeCycle(`event=ONAPPINSTALL&data%5BVERSION%5D=3&${auth}`)
    expect(encoded).toMatchObject({
      event: 'ONAPPINSTALL',
      claim: { memberId: MEMBER, version: '3', accessToken: 'access', applicationToken: 'app' },
    })
    const plain = `event=OnAppInstall&data[VERSION]=3&${decodeURIComponent(auth)}`
    expect(parseLifeCycle(plain)).toEqual(encoded)
  })

  it.each([
    ['&data[CLEAN]=1', true],
    ['&data[CLEAN]=0', false],
    ['', false],
  ])('says with "%s" whether all is to be forgotten', (data, clean) => {
    expect(parseLifeCycle(`event=ONAPPUNINSTALL${data}&${auth}`)).toEqual({
      event: 'ONAPPUNINSTALL',
      memberId: MEMBER,
      applicationToken: 'app',
      clean,
    })
  })
})

it('never fails with anything but a refusal, and never touches a prototype', () => {
  const key = fc.constantFrom(
    'AUTH_ID',
    'member_id',
    'DOMAIN',
    'event',
    'auth[member_id]',
    '__proto__[x]',
    'a[b',
  )
  const pairs = fc.array(fc.tuple(fc.oneof(key, fc.string()), fc.string()), { maxLength: 30 })
  fc.assert(
    fc.property(pairs, fc.string(), (fields, raw) => {
      const form = fields
        .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
        .join('&')
      for (const text of [form, raw, `event=ONAPPINSTALL&${form}`]) {
        for (const read of [() => parsePage(raw, text), () => parseLifeCycle(text)]) {
          try {
            read()
          } catch (error) {
            expect(error).toBeInstanceOf(CommandError)
          }
        }
      }
      expect(({} as { x?: unknown }).x).toBeUndefined()
    }),
  )
})
