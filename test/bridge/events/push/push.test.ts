import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { saveInstallation } from '../../../../src/stores/queries/applications.ts'
import { readCursor } from '../../../../src/stores/queries/cursors.ts'
import { suspendPortal } from '../../../../src/stores/queries/portals.ts'
import { eventually } from '../../../conformance/broker.ts'
import { APPLICATION, type Listening, openPushBench, type PushBench } from './bench.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

const numbered = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => `m${from + i}`)

/** Nobody waits for the back-off: the clock is set forward by each wait that is told, until something is done. */
async function throughBackoff(bench: PushBench, listening: Listening, done: () => boolean): Promise<void> {
  const waits = (): number[] =>
    listening
      .all()
      .map((line) => JSON.parse(line) as { msg: string; waitMs?: number })
      .flatMap(({ msg, waitMs }) => (/^push\.(?:broken|renewing)$/.test(msg) ? [waitMs!] : []))
  let seen = waits().length
  for (; !done(); await sleep(20)) {
    const all = waits()
    for (const waitMs of all.slice(seen)) bench.clock.forward(waitMs)
    seen = all.length
  }
}

it('publishes what the application says on its channel', async () => {
  const bench = await openPushBench()
  const listening = await bench.listen()
  await bench.connections(1)
  bench.say('Table.Taken', { params: { table: 5 } })
  bench.say('second', { params: [1, 'two'] })
  await bench.arrived(['Table.Taken', 'second'])
  const [first, second] = bench.consumed
  expect(first!.routingKey).toBe(`push.${bench.memberId}.table_taken`)
  expect(first!.body).toMatchObject({
    kind: 'push',
    portal: { member_id: bench.memberId, domain: bench.sandbox.identity().domain },
    application: APPLICATION.clientId,
    event: 'Table.Taken',
    data: { module_id: 'application', params: { table: 5 } },
  })
  expect(first!.message.messageId).toBe(first!.body.key)
  expect(second!.body.data.params).toEqual([1, 'two'])
  expect(Math.abs(Date.parse(first!.body.ts) - Date.now())).toBeLessThan(MINUTE)
  expect(listening.supervisor.states()).toMatchObject({ open: 1, connecting: 0 })
})

it('hands on that offline events wait, and publishes nothing of it', async () => {
  const bench = await openPushBench()
  const { offline } = await bench.listen()
  await bench.connections(1)
  await eventually(() => expect(offline).toHaveLength(1))
  const params = [{ connector_id: '', count: 3 }]
  bench.sandbox.push({
    do: 'send',
    moduleId: 'rest',
    command: 'event_offline',
    clientId: APPLICATION.clientId,
    params,
  })
  bench.say('after')
  await bench.arrived(['after'])
  expect(offline).toHaveLength(2)
  expect(offline[1]).toEqual({ memberId: bench.memberId, clientId: APPLICATION.clientId })
  expect(bench.consumed).toHaveLength(1)
})

describe('each way to listen', () => {
  it.each([
    ['text frames', {}, {}],
    ['JSON', { pushJson: true }, {}],
    ['protobuf', {}, { BRIDGE_PUSH_FORMAT: 'binary' }],
    ['JSON-RPC with a token', { pushVersion: 5 }, {}],
    ['a push server that many portals share', { pushServer: 'shared' }, {}],
  ] as const)('brings everything once and in order, over cuts: %s', async (_, switches, env) => {
    const bench = await openPushBench({ sandbox: { switches } })
    const listening = await bench.listen({ env })
    await bench.connections(1)
    for (const command of numbered(1, 30)) bench.say(command)
    await bench.arrived(numbered(1, 30))
    bench.sandbox.push({ do: 'cut' })
    for (const command of numbered(31, 60)) bench.say(command)
    await bench.arrived(numbered(1, 60))
    expect(bench.consumed).toHaveLength(60)
    expect(listening.lines('push.unreadable')).toEqual([])
    await eventually(() => expect(listening.offline).toHaveLength(2))
  })

  it('goes over to long polling where sockets are blocked, and misses nothing', async () => {
    const bench = await openPushBench({ sandbox: { switches: { pushHoldMs: 200 } } })
    const listening = await bench.listen()
    await bench.connections(1)
    bench.say('m1')
    await bench.arrived(['m1'])
    bench.clock.forward(MINUTE)
    bench.sandbox.push({ do: 'cut' })
    bench.sandbox.push({ do: 'refuse', times: 4, status: 502 })
    for (const command of numbered(2, 6)) bench.say(command)
    await throughBackoff(bench, listening, () => listening.supervisor.states().polling === 1)
    await bench.arrived(numbered(1, 6))
    expect(listening.lines('push.connected').at(-1)).toMatchObject({ transport: 'polling' })
    await bench.arrived(numbered(1, 6))
    for (const command of numbered(7, 9)) {
      bench.say(command)
      await bench.arrived([command])
    }
    await sleep(300) // Two polls that end with nothing.
    bench.say('m10')
    await bench.arrived(numbered(1, 10))
    expect(bench.consumed).toHaveLength(10)
  })
})

describe('what happens to connections', () => {
  it('a restart of the server, old channels and a new configuration lose nothing', async () => {
    const bench = await openPushBench()
    const listening = await bench.listen()
    // The server sees a connection before we do.
    await eventually(() => expect(listening.supervisor.states().open).toBe(1))
    let said = 0
    for (const trouble of [
      { do: 'restart' },
      { do: 'expire-config' },
      { do: 'expire-channel', clientId: APPLICATION.clientId, action: 'get_config' },
      { do: 'expire-channel', clientId: APPLICATION.clientId, action: 'reconnect' },
      { do: 'expire-channel', clientId: APPLICATION.clientId, userId: 1, action: 'get_config' },
    ] as const) {
      const connected = listening.lines('push.connected').length
      bench.say(`m${++said}`)
      bench.sandbox.push(trouble)
      bench.say(`m${++said}`)
      await throughBackoff(bench, listening, () => listening.lines('push.connected').length > connected)
    }
    await bench.arrived(numbered(1, said))
    expect(bench.consumed).toHaveLength(said)
    await eventually(() => expect(listening.offline).toHaveLength(6), 5000)
  })

  it('channels whose time is over are replaced without being told', async () => {
    const bench = await openPushBench()
    const listening = await bench.listen()
    await bench.connections(1)
    bench.clock.forward(12 * HOUR + 6000)
    await eventually(
      () => expect(bench.sandbox.pushState().connects.length).toBeGreaterThanOrEqual(2),
      15_000,
    )
    await eventually(() => expect(listening.supervisor.states().open).toBe(1))
    bench.say('after')
    await bench.arrived(['after'])
  })

  it('a server that is dead without a word is noticed', async () => {
    const bench = await openPushBench()
    const listening = await bench.listen()
    await bench.connections(1)
    bench.sandbox.push({ do: 'silence' })
    bench.say('unheard')
    bench.clock.forward(61_000)
    await eventually(async () => {
      await sleep(1100) // Timers look at the clock every second.
      bench.clock.forward(21_000)
      expect(listening.lines('push.connected').length).toBeGreaterThanOrEqual(2)
    })
    await bench.arrived(['unheard'])
  })

  it('an hour and more without the server is made up for, with the waits that are asked for and no others', async () => {
    const bench = await openPushBench()
    const listening = await bench.listen()
    const waits = (): number[] => listening.lines('push.broken').map(({ waitMs }) => Number(waitMs))
    await bench.connections(1)
    const before = bench.clock.now()
    bench.sandbox.push({ do: 'refuse', times: 12, status: 503 })
    bench.sandbox.push({ do: 'cut' })
    for (const command of numbered(1, 90)) bench.say(command)
    // The cut and twelve refusals.
    await throughBackoff(bench, listening, () => waits().length === 13)
    for (const command of numbered(91, 180)) bench.say(command)
    expect(bench.consumed).toEqual([])
    bench.clock.forward(waits().at(-1) ?? 0)
    await bench.arrived(numbered(1, 180))
    expect(bench.consumed).toHaveLength(180)
    expect(bench.clock.now() - before).toBeGreaterThan(HOUR)
    expect(listening.gaps).toEqual([])
    const asked = [
      100,
      15_000,
      ...Array(3).fill(45_000),
      ...Array(5).fill(10 * MINUTE),
      ...Array(3).fill(HOUR),
    ]
    for (const [i, least] of asked.entries()) {
      expect(waits()[i]).toBeGreaterThanOrEqual(least)
      expect(waits()[i]).toBeLessThanOrEqual(1.2 * least + 1)
    }

    // A connection that held for ten seconds begins the count anew.
    await bench.connections(1)
    bench.clock.forward(11_000)
    bench.sandbox.push({ do: 'cut' })
    await eventually(() => expect(waits()).toHaveLength(14), 10_000)
    expect(waits().at(-1)).toBeLessThanOrEqual(121)
  })

  it('a bridge that was away for an hour hears all that was said in it', async () => {
    const bench = await openPushBench()
    const first = await bench.listen()
    await bench.connections(1)
    bench.say('m1')
    await bench.arrived(['m1'])
    await first.stop()
    for (const command of numbered(2, 61)) {
      bench.say(command)
      bench.clock.forward(MINUTE)
    }
    const second = await bench.listen()
    await bench.arrived(numbered(1, 61))
    expect(bench.consumed).toHaveLength(61)
    expect(second.gaps).toEqual([])
  })

  it('a bridge that was away for a day says that something may be lost', async () => {
    const bench = await openPushBench()
    const first = await bench.listen()
    await bench.connections(1)
    bench.say('m1')
    await bench.arrived(['m1'])
    await first.stop()
    bench.clock.forward(25 * HOUR)
    const second = await bench.listen()
    await eventually(() => expect(second.gaps).toHaveLength(1))
    expect(second.lines('push.gap')).toMatchObject([{ member: bench.memberId }])
  })

  it('a broker that is away stops nothing but the consumer', async () => {
    const bench = await openPushBench()
    const listening = await bench.listen()
    await bench.connections(1)
    listening.away = true
    for (const command of numbered(1, 400)) bench.say(command)
    await eventually(() => expect(listening.supervisor.states().held).toBe(1))
    for (const command of numbered(401, 500)) bench.say(command)
    expect(bench.consumed).toEqual([])
    listening.away = false
    await bench.arrived(numbered(1, 500))
    expect(bench.consumed).toHaveLength(500)
    expect(listening.supervisor.states()).toMatchObject({ open: 1, held: 0 })
  })
})

describe('who listens', () => {
  it('goes on where it stopped, and keeps how far it came', async () => {
    const bench = await openPushBench()
    const first = await bench.listen()
    await bench.connections(1)
    const mids = numbered(1, 3).map((command) => bench.say(command))
    await bench.arrived(numbered(1, 3))
    await first.stop()
    await bench.connections(0)
    for (const command of numbered(4, 6)) bench.say(command)
    const second = await bench.listen()
    const name = `push/${bench.memberId}/${APPLICATION.clientId}`
    expect((await readCursor(second.base.store.db, name))!.value).toBe(`mid:${mids[2]}`)
    await bench.arrived(numbered(1, 6))
    expect(bench.consumed).toHaveLength(6)
  })

  it('hears what was said between two processes even when nothing had been said before', async () => {
    const bench = await openPushBench()
    const first = await bench.listen()
    // The server sees a connection before we do, and only ours has a place to go on from.
    await eventually(() => expect(first.supervisor.states().open).toBe(1))
    await first.stop()
    await bench.connections(0)
    bench.say('between')
    await bench.listen()
    await bench.arrived(['between'])
  })

  it('leaves when the application may no longer, and comes back when it may', async () => {
    const bench = await openPushBench()
    const { base, supervisor } = await bench.listen()
    await bench.connections(1)
    const { memberId } = bench
    const { clientId } = APPLICATION
    await saveInstallation(base.store.db, { memberId, clientId, scope: ['crm', 'pull_channel'] }, Date.now())
    supervisor.look()
    await bench.connections(0)
    await saveInstallation(base.store.db, { memberId, clientId, scope: ['pull'] }, Date.now())
    supervisor.look()
    await bench.connections(1)
    await suspendPortal(base.store.db, memberId, { reason: 'test', now: Date.now() })
    supervisor.look()
    await bench.connections(0)
  })

  it('halts where the portal has no push server, and tells nobody a secret', async () => {
    const bench = await openPushBench({ sandbox: { switches: { pushServer: 'none' } } })
    const listening = await bench.listen()
    await eventually(() => expect(listening.supervisor.states().halted).toBe(1))
    expect(listening.lines('push.unavailable')).toMatchObject([
      { member: bench.memberId, code: 'SERVER_ERROR' },
    ])
  })

  it('writes no address, channel or token of a push server anywhere', async () => {
    const bench = await openPushBench({ sandbox: { switches: { pushServer: 'shared' } } })
    const listening = await bench.listen()
    await bench.connections(1)
    bench.say('m1')
    await bench.arrived(['m1'])
    bench.sandbox.push({ do: 'refuse', times: 2, status: 400 })
    bench.sandbox.push({ do: 'cut' })
    await eventually(() => expect(listening.lines('push.broken').length).toBeGreaterThan(0))
    const { connections, connects } = bench.sandbox.pushState()
    const everything = JSON.stringify([listening.all(), bench.consumed.map(({ body }) => body)])
    const ids = JSON.stringify([connections, connects]).match(/[0-9a-f]{32}/g) ?? []
    expect(ids.length).toBeGreaterThan(0)
    for (const secret of [...ids, bench.sandbox.accessToken, APPLICATION.clientSecret, 'CHANNEL_ID'])
      expect(everything).not.toContain(secret)
  })
})
