import { createHmac } from 'node:crypto'
import { expect, it } from 'vitest'
import { handlerUrl } from '../../../src/bridge/events/handler-url.ts'
import type { PortalCard } from '../../../src/bridge/events/store.ts'
import { createEventVerifier } from '../../../src/bridge/events/verify.ts'

const sign = (text: string): string => createHmac('sha256', 'a key').update(text).digest('hex')

/** A verifier over portals that a test can change, with the questions it asked. */
function open(portals: Record<string, PortalCard | Error>) {
  let now = 1_000_000
  const asked: string[] = []
  const verifier = createEventVerifier(
    {
      async card(memberId) {
        asked.push(memberId)
        const card = portals[memberId]
        if (card instanceof Error) throw card
        return card
      },
      tokenFingerprint: (memberId, token) => `${memberId}/${token}`,
      sign,
    },
    () => now,
  )
  return {
    verifier,
    asked,
    advance(ms: number) {
      now += ms
    },
  }
}

const card = (...tokens: [token: string, clientId?: string][]): PortalCard => ({
  domain: 'a.bitrix24.com',
  state: 'active',
  tokens: tokens.map(([token, clientId]) => ({
    fingerprint: `m/${token}`,
    ...(clientId === undefined ? {} : { clientId }),
  })),
})

function handlerOf(memberId: string) {
  const url = new URL(handlerUrl('https://b.example.com', memberId, sign))
  return { memberId, key: url.searchParams.get('key') as string }
}

it('tells by the token which application it is, or that it is an outgoing webhook', async () => {
  const { verifier } = open({ m: card(['one', 'app.1'], ['two', 'app.2'], ['hook']) })
  const by = (applicationToken: string) => verifier.verify({ memberId: 'm', applicationToken })
  expect(await by('two')).toEqual({ memberId: 'm', domain: 'a.bitrix24.com', clientId: 'app.2' })
  expect(await by('hook')).toEqual({ memberId: 'm', domain: 'a.bitrix24.com' })
  expect(await by('three')).toBeUndefined()
  expect(await verifier.verify({ memberId: 'x', applicationToken: 'one' })).toBeUndefined()
  expect(await verifier.verify({ applicationToken: 'one' })).toBeUndefined()
  expect(await verifier.verify({ memberId: 'm' })).toBeUndefined()
})

it('takes the key of the address where no token is posted, and only there', async () => {
  const { verifier } = open({ m: card(['one', 'app.1']) })
  const handler = handlerOf('m')
  const proven = { memberId: 'm', domain: 'a.bitrix24.com' }
  expect(await verifier.verify({ handler })).toEqual({ ...proven, onlyClientId: 'app.1' })
  expect(await verifier.verify({ memberId: 'm', handler })).toBeDefined()
  expect(await verifier.verify({ memberId: 'm', applicationToken: 'forged', handler })).toBeUndefined()
  expect(await verifier.verify({ memberId: 'other', handler })).toBeUndefined()
  expect(await verifier.verify({ handler: { ...handler, key: `${handler.key.slice(1)}0` } })).toBeUndefined()
  expect(await verifier.verify({ handler: { ...handlerOf('other'), memberId: 'm' } })).toBeUndefined()
  expect(await verifier.verify({ handler: handlerOf('unknown') })).toBeUndefined()
})

it('knows by a key alone whose call it is while the portal has one application', async () => {
  const { verifier } = open({
    none: card(['hook']),
    one: card(['old', 'app.1'], ['new', 'app.1'], ['hook']),
    two: card(['one', 'app.1'], ['two', 'app.2']),
  })
  const only = async (memberId: string) =>
    (await verifier.verify({ handler: handlerOf(memberId) }))?.onlyClientId
  expect([await only('none'), await only('one'), await only('two')]).toEqual([undefined, 'app.1', undefined])
})

it('takes no key for a portal whose last application is gone', async () => {
  const { verifier } = open({ m: { ...card(), state: 'suspended' } })
  expect(await verifier.verify({ handler: handlerOf('m') })).toBeUndefined()
})

it('asks the store once for many events, and once a second for those it refuses', async () => {
  const { verifier, asked, advance } = open({ m: card(['one', 'app.1']) })
  const by = (applicationToken: string) => verifier.verify({ memberId: 'm', applicationToken })
  for (let i = 0; i < 100; i++) await by('one')
  expect(asked).toHaveLength(1)
  for (let i = 0; i < 100; i++) expect(await by('forged')).toBeUndefined()
  expect(asked).toHaveLength(1)
  advance(1001)
  await Promise.all(Array.from({ length: 100 }, () => by('forged')))
  expect(asked).toHaveLength(2)
  advance(10_001)
  await by('one')
  expect(asked).toHaveLength(3)
})

it('learns of a new token within a second, and of a change at once', async () => {
  const portals = { m: card(['one', 'app.1']) }
  const { verifier, advance } = open(portals)
  const by = (applicationToken: string) => verifier.verify({ memberId: 'm', applicationToken })
  await by('one')
  portals.m = card(['two', 'app.1'])
  advance(1001)
  expect(await by('two')).toBeDefined()
  expect(await by('one')).toBeUndefined()
  portals.m = card()
  expect(await by('two')).toBeDefined()
  verifier.forget('m')
  expect(await by('two')).toBeUndefined()
})

it('goes by what it knew while the store is away', async () => {
  const portals: Record<string, PortalCard | Error> = { m: card(['one', 'app.1']) }
  const { verifier, advance } = open(portals)
  const by = (memberId: string) => verifier.verify({ memberId, applicationToken: 'one' })
  await by('m')
  portals.m = new Error('away')
  portals.other = new Error('away')
  advance(60_000)
  expect(await by('m')).toMatchObject({ clientId: 'app.1' })
  await expect(by('other')).rejects.toThrow('away')
})

it('knows its portals while the store is away, however many names strangers have made up', async () => {
  const portals: Record<string, PortalCard | Error> = { m: card(['one', 'app.1']) }
  const { verifier, advance } = open(portals)
  const ours = () => verifier.verify({ memberId: 'm', applicationToken: 'one' })
  expect(await ours()).toBeDefined()
  for (let i = 0; i < 12_000; i++)
    expect(await verifier.verify({ memberId: `s${i}`, applicationToken: 'one' })).toBeUndefined()
  portals.m = new Error('away')
  advance(60_000)
  expect(await ours()).toBeDefined()
})
