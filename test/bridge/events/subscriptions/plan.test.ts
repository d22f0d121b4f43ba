import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isOurAddress, pageUrl } from '../../../../src/bridge/events/subscriptions/addresses.ts'
import { BOUND_LISTS, type Bound } from '../../../../src/bridge/events/subscriptions/kinds.ts'
import {
  type Action,
  planSubscriptions,
  type Remembered,
  rememberedAfter,
} from '../../../../src/bridge/events/subscriptions/plan.ts'
import { type Wanted, wantedOf } from '../../../../src/bridge/events/subscriptions/wanted.ts'
import { parseSubscriptions } from '../../../../src/bridge/events/subscriptions/yaml.ts'

const BASE = 'https://bridge.example/b24bridge'
const HANDLER = `${BASE}/b24/events?portal=abc&key=k`
const ADDRESSES = { handler: HANDLER, page: (name: string) => pageUrl(BASE, name) }

function wanted(text: string): Wanted[] {
  return wantedOf(parseSubscriptions(`portals: '*'\n${text}`, 'file'), ADDRESSES)
}

function plan(
  state: { wanted?: Wanted[]; bound?: readonly Bound[]; remembered?: Remembered } = {},
): Action[] {
  return planSubscriptions({
    wanted: [],
    bound: [],
    remembered: {},
    ...state,
    isOurs: (url) => isOurAddress(BASE, url),
  })
}

/** What a portal's lists would say after the actions were carried out. */
function carriedOut(actions: readonly Action[], all: readonly Wanted[], before: readonly Bound[]): Bound[] {
  const gone = new Set(actions.filter(({ act }) => act === 'unbind').map(({ id }) => id))
  const kept = before.filter((one) => !gone.has(plan({ bound: [one] })[0]?.id ?? ''))
  const there = new Set(kept.map(({ kind, key }) => `${kind} ${key}`))
  const fresh = all
    .filter(({ kind, key }) => !there.has(`${kind} ${key}`))
    .map(({ kind, key, label }) => ({ kind, key, label, unbind: { method: 'x', params: {} } }))
  return [...kept, ...fresh]
}

describe('the plan', () => {
  it('removes before it binds, so that a placement for one handler has room', () => {
    const [bound] = BOUND_LISTS.placements.read([
      { placement: 'REST_APP_URI', userId: 0, handler: pageUrl(BASE, 'old'), title: '' },
    ])
    const actions = plan({
      wanted: wanted('placements: [{ placement: rest_app_uri, page: new }]'),
      bound: [bound as Bound],
    })
    expect(actions.map(({ act }) => act)).toEqual(['unbind', 'bind'])
    expect(actions[0]?.calls).toEqual([
      {
        method: 'placement.unbind',
        params: { PLACEMENT: 'REST_APP_URI', HANDLER: pageUrl(BASE, 'old') },
      },
    ])
    expect(actions[1]?.calls).toMatchObject([
      { method: 'placement.bind', params: { PLACEMENT: 'REST_APP_URI', HANDLER: pageUrl(BASE, 'new') } },
    ])
  })

  it('binds a placement anew whose title changed, because nothing updates one', () => {
    const one = (title: string): Wanted[] =>
      wanted(`placements: [{ placement: CRM_DEAL_DETAIL_TAB, page: deal-tab, title: ${title} }]`)
    const first = plan({ wanted: one('Old') })
    const remembered = rememberedAfter(first, new Set(), {})
    const bound = BOUND_LISTS.placements.read([
      { placement: 'CRM_DEAL_DETAIL_TAB', userId: 0, handler: pageUrl(BASE, 'deal-tab'), title: 'Old' },
    ])
    expect(plan({ wanted: one('Old'), bound, remembered })).toMatchObject([{ act: 'keep', calls: [] }])
    expect(plan({ wanted: one('New'), bound, remembered })).toMatchObject([
      { act: 'change', calls: [{ method: 'placement.unbind' }, { method: 'placement.bind' }] },
    ])
  })

  it('sets a robot anew that nobody remembers, and leaves alone codes that are not in the file', () => {
    const bound = BOUND_LISTS.robots.read(['Check_Stock', 'other'])
    const actions = plan({ wanted: wanted('robots: [{ code: check_stock, name: Check }]'), bound })
    expect(actions).toMatchObject([
      { act: 'foreign', label: 'other', calls: [] },
      {
        act: 'change',
        label: 'check_stock',
        calls: [
          { method: 'bizproc.robot.update', params: { CODE: 'check_stock', FIELDS: { NAME: 'Check' } } },
        ],
      },
    ])
  })

  it('tries again what failed: a change stays a change, a removal a removal', () => {
    const before = wanted('robots: [{ code: check_stock, name: Check }]')
    const remembered = rememberedAfter(plan({ wanted: before }), new Set(), {})
    const bound = BOUND_LISTS.robots.read(['check_stock'])
    for (const next of [wanted('robots: [{ code: check_stock, name: Look }]'), []]) {
      const actions = plan({ wanted: next, bound, remembered })
      const after = rememberedAfter(actions, new Set(actions), remembered)
      expect(after).toEqual(remembered)
      expect(plan({ wanted: next, bound, remembered: after })).toEqual(actions)
    }
  })

  it('keeps a nudge with its pause, and binds it anew with another one', () => {
    const one = (seconds: number): Wanted[] =>
      wanted(`events: [{ name: ONOFFLINEEVENT, minTimeout: ${seconds} }]`)
    const remembered = rememberedAfter(plan({ wanted: one(5) }), new Set(), {})
    const bound = BOUND_LISTS.events.read([
      { event: 'ONOFFLINEEVENT', handler: HANDLER, auth_type: '0', offline: 0 },
    ])
    expect(plan({ wanted: one(5), bound, remembered })).toMatchObject([{ act: 'keep' }])
    expect(plan({ wanted: one(9), bound, remembered })).toMatchObject([
      { act: 'change', calls: [{ method: 'event.unbind' }, { method: 'event.bind' }] },
    ])
  })

  it('does not take away a bot that stands in both lists of bots', () => {
    const bound = [
      ...BOUND_LISTS.bots.read({ 7: { ID: 7, CODE: 'helper' }, 8: { ID: 8, CODE: 'of somebody else' } }),
      ...BOUND_LISTS.bots2.read({ bots: [{ id: 7, code: 'helper' }] }),
    ]
    const actions = plan({ wanted: wanted('bots: [{ code: helper, name: Helper }]'), bound })
    expect(actions).toMatchObject([
      { act: 'change', calls: [{ method: 'imbot.v2.Bot.update', params: { botId: 7 } }] },
    ])
  })

  it('gives a bot an address, or takes it away', () => {
    const bound = BOUND_LISTS.bots2.read({ bots: [{ id: 7, code: 'helper' }] })
    const fieldsFor = (bot: string) => plan({ wanted: wanted(`bots: [${bot}]`), bound })[0]?.calls[0]?.params
    const fetched = fieldsFor('{ code: helper, name: Helper, fetch: true }')
    expect(fetched).toEqual({ botId: 7, fields: { properties: { name: 'Helper' }, eventMode: 'fetch' } })
    expect(fieldsFor('{ code: helper, name: Helper, fetch: false }')).toMatchObject({
      fields: { eventMode: 'webhook', webhookUrl: expect.stringContaining('/b24/events?') },
    })
  })

  it('remembers no address: its key would be there to read', () => {
    const actions = plan({ wanted: wanted('events: [ONCRMDEALADD]') })
    expect(JSON.stringify(rememberedAfter(actions, new Set(), {}))).not.toContain('key=')
  })

  it('has nothing to do after it was carried out, whatever was there before', () => {
    const events = fc.uniqueArray(fc.constantFrom('ONCRMDEALADD', 'ONCRMDEALUPDATE', 'ONTASKADD'))
    const codes = fc.uniqueArray(fc.constantFrom('a', 'b', 'c'))
    const named = (list: readonly string[]): string =>
      JSON.stringify(list.map((code) => ({ code, name: code })))
    const file = fc
      .record({ events, robots: codes, senders: codes })
      .map((lists) =>
        wanted(
          `events: ${JSON.stringify(lists.events)}\nrobots: ${named(lists.robots)}\nsenders: ${named(lists.senders)}`,
        ),
      )
    fc.assert(
      fc.property(file, file, (first, second) => {
        let bound: Bound[] = BOUND_LISTS.events.read([
          { event: 'ONCRMDEALADD', handler: 'https://other.example/', auth_type: '0', offline: 0 },
        ])
        let remembered: Remembered = {}
        for (const all of [first, second]) {
          const actions = plan({ wanted: all, bound, remembered })
          bound = carriedOut(actions, all, bound)
          remembered = rememberedAfter(actions, new Set(), remembered)
        }
        const again = plan({ wanted: second, bound, remembered })
        expect(again.filter(({ act }) => act !== 'keep')).toMatchObject([{ act: 'foreign' }])
      }),
      { numRuns: 40 },
    )
  })
})

describe('the address', () => {
  it('is ours under the public one only', () => {
    expect(isOurAddress(BASE, HANDLER)).toBe(true)
    expect(isOurAddress(BASE, `${BASE}/b24/events`)).toBe(true)
    expect(isOurAddress(`${BASE}/`, `${BASE}/b24/placements/deal`)).toBe(true)
    for (const other of [
      `${BASE}/b24/app-events`,
      `${BASE}/b24/events-of-mine`,
      'https://bridge.example/b24/events',
      'https://bridge.example.evil.example/b24bridge/b24/events',
      'http://bridge.example/b24bridge/b24/events',
      'nonsense',
    ])
      expect(isOurAddress(BASE, other), other).toBe(false)
  })
})
