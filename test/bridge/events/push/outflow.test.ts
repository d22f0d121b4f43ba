import { describe, expect, it } from 'vitest'
import { createEventOutlet } from '../../../../src/bridge/events/outlet.ts'
import { Outflow, type OutflowOptions, type PushFate } from '../../../../src/bridge/events/push/outflow.ts'
import type { PushMessage } from '../../../../src/client/push/message.ts'
import { BrokerError } from '../../../../src/model/errors.ts'
import type { PortalEvent } from '../../../../src/model/event.ts'
import type { Json } from '../../../../src/model/json.ts'
import { eventually } from '../../../conformance/broker.ts'

const mid = (n: number): string => `1767225600${String(n).padStart(16, '0')}`
const message = (n: number, more: Partial<PushMessage> = {}): PushMessage => ({
  mid: mid(n),
  moduleId: 'application',
  command: `m${n}`,
  params: {},
  ...more,
})
const many = (count: number): PushMessage[] => Array.from({ length: count }, (_, i) => message(i + 1))

function open(publish: (event: PortalEvent) => Promise<void>, more: Partial<OutflowOptions> = {}) {
  const fates: [string, PushFate][] = []
  const behind: boolean[] = []
  const logged: string[] = []
  const flow: Outflow = new Outflow({
    key: { memberId: 'm', clientId: 'c' },
    domain: () => 'example.bitrix24.com',
    outlet: { publish },
    position: undefined,
    now: () => 0,
    onOffline: () => undefined,
    onHandled: ({ command }, fate) => fates.push([command, fate]),
    onBehind: (is) => behind.push(is),
    log: (event) => logged.push(event),
    ...more,
  })
  return { flow, fates, behind, logged }
}

const away = (): Promise<never> => Promise.reject(new BrokerError('NOT_CONNECTED', 'away'))

describe('the way of messages to the broker', () => {
  it('keeps no position before a message that is not confirmed, whichever of them fail', async () => {
    const confirmed = new Set<string>()
    const failed = new Set<string>()
    const { flow, fates } = open(
      async (event) => {
        const n = Number(event.event.slice(1))
        await new Promise((resolve) => setTimeout(resolve, n % 5))
        // Every seventh is refused once.
        if (n % 7 === 0 && !failed.has(event.event)) {
          failed.add(event.event)
          return away()
        }
        confirmed.add(event.event)
      },
      {
        onHandled({ command }, fate) {
          fates.push([command, fate])
          expect(confirmed.has(command)).toBe(true)
          // All before it are confirmed too: handled in order, one after another.
          expect(command).toBe(`m${fates.length}`)
        },
      },
    )
    flow.push(many(60))
    flow.push(many(110).slice(60))
    expect(flow.unsaved()).toBeUndefined()
    await eventually(() => expect(fates).toHaveLength(110), 10_000)
    expect(flow.unsaved()).toBe(`mid:${mid(110)}`)
    flow.kept(`mid:${mid(110)}`)
    expect(flow.unsaved()).toBeUndefined()
    expect(failed.size).toBe(15)
  })

  it('tells once that it is behind, and once that it is not any more', async () => {
    let isAway = true
    const { flow, behind, fates, logged } = open(() => (isAway ? away() : Promise.resolve()))
    flow.push(many(150))
    expect(behind).toEqual([])
    flow.push(many(300).slice(150))
    expect(behind).toEqual([true])
    await eventually(() => expect(logged).toEqual(['push.unpublished']))
    isAway = false
    await eventually(() => expect(fates).toHaveLength(300), 10_000)
    expect(behind).toEqual([true, false])
  })

  it('leaves what is not confirmed behind the position when it is closed', async () => {
    const { flow, fates } = open((event) => (event.event === 'm3' ? away() : Promise.resolve()))
    flow.push(many(5))
    expect(await flow.idle(50)).toBe(false)
    flow.close()
    expect(await flow.idle(1000)).toBe(true)
    expect(fates.map(([command]) => command)).toEqual(['m1', 'm2'])
    expect(flow.current()).toBe(`mid:${mid(2)}`)
    flow.push(many(9).slice(5))
    expect(await flow.idle(1000)).toBe(true)
    expect(flow.current()).toBe(`mid:${mid(2)}`)
  })

  it('goes past a message that the broker will never take, and says so', async () => {
    const { flow, fates, logged } = open((event) =>
      event.event === 'm2'
        ? Promise.reject(new BrokerError('MESSAGE_TOO_LARGE', 'too large'))
        : Promise.resolve(),
    )
    flow.push(many(3))
    expect(await flow.idle(1000)).toBe(true)
    expect(fates).toEqual([
      ['m1', 'published'],
      ['m2', 'refused'],
      ['m3', 'published'],
    ])
    expect(logged).toEqual(['push.refused'])
  })

  it('goes past a message that cannot be written down, with a number and without', async () => {
    const deep: Json = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`)
    const outlet = createEventOutlet({ broker: { publish: () => Promise.resolve() } })
    const { flow, fates } = open((event) => outlet.publish(event))
    const { mid: _, ...old } = message(3, { params: deep })
    flow.push([message(1), message(2, { params: deep }), old, message(4)])
    expect(await flow.idle(1000)).toBe(true)
    expect(fates.map(([, fate]) => fate)).toEqual(['published', 'refused', 'refused', 'published'])
  })

  it('publishes neither nudges nor what the connection is told, and passes them all the same', async () => {
    const published: string[] = []
    const counts: number[] = []
    const { flow, fates } = open(async ({ event }) => void published.push(event), {
      onOffline: (count) => counts.push(count),
    })
    const params = [
      { connector_id: '', count: 3 },
      { connector_id: 'x', count: '2' },
    ]
    flow.push([
      message(1, { moduleId: 'rest', command: 'event_offline', params }),
      message(2, { moduleId: 'pull', command: 'Server_Restart' }),
      message(3, { moduleId: 'rest', command: 'something_else' }),
    ])
    expect(await flow.idle(1000)).toBe(true)
    expect(fates.map(([, fate]) => fate)).toEqual(['offline', 'control', 'published'])
    expect([published, counts]).toEqual([['something_else'], [5]])
    expect(flow.current()).toBe(`mid:${mid(3)}`)
  })

  it('gives one key to one message, and different ones to others', async () => {
    const keys: string[] = []
    const { flow } = open(async ({ key }) => void keys.push(key))
    const old = {
      moduleId: 'application',
      command: 'x',
      params: {},
      tag: '1',
      time: 'Thu, 29 Jun 2017 09:50:16 GMT',
    }
    flow.push([message(1), message(1), message(2), old, old, { ...old, params: { a: 1 } }])
    expect(await flow.idle(1000)).toBe(true)
    expect(keys[0]).toBe(keys[1])
    expect(keys[3]).toBe(keys[4])
    expect(new Set(keys).size).toBe(4)
  })
})
