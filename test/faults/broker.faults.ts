import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'amqplib'
import { describe, expect, it } from 'vitest'
import type { HeaderValue, Topology } from '../../src/brokers/broker.ts'
import { eventually, topologyOf } from '../conformance/broker.ts'
import { note, skip } from './support/engines.ts'
import type { Sent } from './support/load.ts'
import { LONG, sized } from './support/profile.ts'
import { openRig, type Rig } from './support/rig.ts'

const LIMIT = { capacity: 20, drainPerSecond: 20 }

describe.skipIf(skip)(`bridges whose broker is in trouble${note}`, () => {
  it('stopped and started, and killed, under load: the bridges wait and go on', async () => {
    const rig = await openRig({ name: 'broker restarts', bridges: 2, portals: 3, limit: LIMIT })
    rig.load.start(100)
    for (let round = 0; round < sized(1, 10); round++) {
      await sleep(1000)
      rig.node.ctl('stop_app')
      rig.injected('broker stopped')
      await sleep(2000) // Long enough for attempts to fail.
      rig.node.ctl('start_app')
      await rig.node.answers()
      await sleep(2000)
      await rig.node.kill()
      rig.injected('broker killed')
      await rig.node.start()
      await sleep(1000)
    }
    await rig.load.stop()
    await rig.account({ twice: true })
  })

  it('connections cut while replies are on their way, and a stream in slices of three bytes', async () => {
    const rig = await openRig({
      name: 'connections cut',
      bridges: 2,
      portals: 3,
      limit: LIMIT,
      sandbox: { latencyMs: 50 },
    })
    rig.load.start(200)
    for (let cut = 0; cut < sized(16, 200); cut++) {
      await sleep(100 + rig.random() * 300)
      const before = rig.brokerWay.cuts
      rig.brokerWay.reset()
      rig.injected('connection cut', rig.brokerWay.cuts - before)
    }
    rig.brokerWay.weather({ sliceBytes: 3 })
    rig.injected('stream of 3-byte slices')
    await sleep(2000)
    await rig.load.stop()
    await rig.answered()
    rig.brokerWay.weather()
    await rig.account({ twice: true })
  })

  it('a slow and narrow way: latency, and few bytes a second', async () => {
    const rig = await openRig({ name: 'slow broker', bridges: 2, heartbeat: 10 })
    rig.brokerWay.weather({ latencyMs: 150 })
    rig.injected('150 ms to the broker')
    await rig.load.send(200)
    await rig.answered()
    rig.brokerWay.weather({ bytesPerSecond: 40_000 })
    rig.injected('40 kB/s to the broker')
    await rig.load.send(200)
    await rig.account()
  })

  it('one of two bridges cut off in silence: the other takes over, and nothing is done twice after it is back', async () => {
    const rig = await openRig({ name: 'black hole', bridges: 1, limit: LIMIT, sandbox: { latencyMs: 20 } })
    // The second one comes by a way of its own, which stays open.
    await rig.fleet.add({ BRIDGE_BROKER: `${rig.node.url}?heartbeat=2` })
    rig.load.start(100)
    for (let round = 0; round < sized(2, 10); round++) {
      await sleep(1000)
      rig.brokerWay.weather({ blackHole: round % 2 === 0 ? 'both' : 'answers' })
      rig.injected('black hole')
      await sleep(7000) // Both sides give up after two missed signs of life.
      rig.brokerWay.weather()
    }
    await rig.load.stop()
    await rig.account({ twice: true })
  })

  it('one of two bridges is cut off while its portal is slow: what it began is not answered in two ways', async () => {
    const rig = await openRig({ name: 'cut, slow portal', bridges: 1 })
    // The second one comes by a way of its own, which stays open.
    await rig.fleet.add({ BRIDGE_BROKER: `${rig.node.url}?heartbeat=2` })
    rig.sandbox.change({ latencyMs: 3000 })
    for (let round = 0; round < sized(2, 10); round++) {
      await rig.load.send(100)
      await sleep(500) // Requests of both are on their way now; those of the first come again, to either.
      rig.brokerWay.reset()
      rig.injected('connection cut')
      await rig.answered()
    }
    await rig.account({ twice: true })
  })

  it('nobody answers the handshake: a new connection is tried again', async () => {
    const rig = await openRig({ name: 'silent handshake', bridges: 1 })
    const before = rig.brokerWay.connections
    rig.brokerWay.weather({ blackHole: 'both' })
    rig.brokerWay.reset()
    rig.injected('black hole before the handshake')
    await rig.load.send(50)
    // Two connections are tried at once; a third attempt comes when they have given up one.
    await eventually(() => expect(rig.brokerWay.connections).toBeGreaterThan(before + 2), 60_000)
    rig.brokerWay.weather()
    await rig.account({ twice: true })
  })

  it('killed while queues are made, and the moment after: they have what they confirmed', async () => {
    const rig = await openRig({ name: 'queue just made', bridges: 0 })
    const publish = (queue: string) =>
      rig.tool.publish({ exchange: '', routingKey: queue }, { body: Buffer.from('kept'), headers: {} })
    for (let round = 0; round < sized(1, 20); round++) {
      const queue = `faults.fresh.${randomUUID()}`
      await rig.tool.declare(quorum(queue))
      await publish(queue)
      // Each begins two milliseconds after the one before; the broker dies between two certain steps of one of them.
      const cutShort = Array.from({ length: 10 }, (_, at) => `${queue}.${at}`)
      const making = cutShort.map(async (name, at) => {
        await sleep(at * 2)
        await rig.tool.declare(quorum(name))
        await publish(name)
      })
      await sleep(12)
      await rig.node.kill()
      rig.injected('broker killed')
      await rig.node.start()
      await Promise.all(making)
      for (const name of [queue, ...cutShort]) {
        await eventually(async () => expect((await rig.tool.queueInfo(name))?.messages).toBe(1), 30_000)
        await rig.tool.deleteQueue(name)
      }
    }
    await rig.account()
  })

  it('a reply queue without a leader: its own replies wait, and nobody else does', async () => {
    const rig = await openRig({ name: 'queue without leader', bridges: 2 })
    const queue = `faults.leaderless.${randomUUID()}`
    await loseLeader(rig, queue)
    const body = Buffer.from(JSON.stringify({ method: 'crm.deal.get', params: { id: 1 } }))
    const ask = async (from: number, to: number): Promise<void> => {
      for (let at = from; at < to; at++) {
        const command = { body, headers: {}, messageId: `${queue} ${at}`, replyTo: queue }
        await rig.tool.publish({ exchange: '', routingKey: rig.queues.commands }, command)
      }
    }
    await ask(0, 20)
    rig.load.start(100)
    await ask(20, 40)
    await sleep(15_000) // Both bridges notice it within ten seconds.
    await rig.load.stop()
    await rig.answered(30_000)
    expect(rig.fleet.logged('publisher.set_apart').map(({ destination }) => destination)).toContain(
      `queue ${queue}`,
    )
    elect(rig, queue)
    const seen = new Set<string | undefined>()
    await rig.tool.consume(queue, { prefetch: 10 }, (delivery) => {
      seen.add(delivery.message.correlationId)
      delivery.ack()
    })
    await eventually(() => expect(seen.size).toBe(40), 60_000)
    await rig.account({ twice: true })
  })

  // It takes a minute and a half, most of it waiting.
  it.runIf(LONG)(
    "a portal's own queue without a leader: its commands go round, and those of others are carried out",
    async () => {
      const rig = await openRig({
        name: 'lane without leader',
        portals: 3,
        env: { BRIDGE_PREFETCH: '50' },
      })
      const portal = rig.portals[0] as string
      const queue = `${rig.queues.commands}.lane.${portal}`
      await loseLeader(rig, queue, { 'x-single-active-consumer': true })
      // More than may be in hand of all together.
      const stuck = await rig.load.send(200, { portal })
      await eventually(() => {
        expect(rig.fleet.logged('lane-queue.silent').map((line) => line.queue)).toContain(queue)
      }, 60_000)
      const others = await rig.load.send(60, { portal: rig.portals[1] as string })
      const isOpen = ({ key }: Sent): boolean => rig.repliesTo(key).length === 0
      await eventually(() => expect(others.filter(isOpen)).toEqual([]), 60_000)
      expect(stuck.some(isOpen)).toBe(true)
      elect(rig, queue)
      await rig.account({ twice: true })
    },
  )

  const ALARMS = [
    {
      alarm: 'memory',
      raise: ['set_vm_memory_high_watermark', 'absolute', '1MB'],
      clear: ['set_vm_memory_high_watermark', '0.4'],
    },
    { alarm: 'disk', raise: ['set_disk_free_limit', '100000GB'], clear: ['set_disk_free_limit', '50MB'] },
  ] as const

  it.each(ALARMS)('a $alarm alarm: replies wait, memory does not grow, and all goes on', async (alarm) => {
    const rig = await openRig({ name: `${alarm.alarm} alarm`, bridges: 2, portals: 3 })
    await rig.load.send(100)
    await rig.answered()
    await rig.load.send(sized(3000, 50_000))
    rig.node.ctl(...alarm.raise)
    rig.injected(`${alarm.alarm} alarm`)
    await sleep(3000)
    const before = rig.fleet.members.map((bridge) => residentMb(bridge.pid))
    await sleep(sized(5000, 120_000))
    const after = rig.fleet.members.map((bridge) => residentMb(bridge.pid))
    rig.node.ctl(...alarm.clear)
    for (const [at, mb] of after.entries()) expect(mb - (before[at] as number)).toBeLessThan(64)
    await rig.account()
    expect(rig.fleet.logged('broker.disconnected'), 'connections given up').toEqual([])
  })

  it('the queue of commands is deleted under its consumers: it is made again, and served', async () => {
    const rig = await openRig({ name: 'queue deleted', bridges: 2 })
    for (let round = 0; round < sized(2, 20); round++) {
      await rig.load.send(50)
      await rig.answered()
      await rig.tool.deleteQueue(rig.queues.commands)
      rig.injected('command queue deleted')
      await eventually(async () => {
        const info = await rig.tool.queueInfo(rig.queues.commands)
        expect(info?.consumers).toBe(2)
      }, 30_000)
    }
    await rig.load.send(50)
    await rig.account()
  })

  it('the broker closes a channel whose deliveries are held for too long', async () => {
    const rig = await openRig({ name: 'channel closed', bridges: 0, env: { BRIDGE_REQUEST_TIMEOUT: '30' } })
    rig.node.ctl('eval', 'application:set_env(rabbit, channel_tick_interval, 500).')
    rig.node.ctl('eval', 'application:set_env(rabbit, consumer_timeout, 2000).')
    try {
      await rig.fleet.add()
      rig.sandbox.change({ latencyMs: 5000 })
      await rig.load.send(60)
      await eventually(
        () => expect(rig.fleet.logged('consumer.interrupted').length).toBeGreaterThan(0),
        30_000,
      )
      rig.injected('channel closed by the broker', rig.fleet.logged('consumer.interrupted').length)
    } finally {
      rig.node.ctl('eval', 'application:set_env(rabbit, consumer_timeout, 1800000).')
      rig.node.ctl('eval', 'application:set_env(rabbit, channel_tick_interval, 60000).')
      rig.sandbox.change({ latencyMs: 0 })
    }
    rig.brokerWay.reset() // New channels, with the usual patience.
    await rig.load.send(60)
    await rig.account({ twice: true })
  })

  it('a full reply queue holds up its own replies only, and a missing one sends them to the dead letters', async () => {
    const rig = await openRig({ name: 'reply queue full', bridges: 1 })
    const full = `${rig.queues.replies}.full`
    const bounded: Record<string, HeaderValue> = { 'x-max-length': 5, 'x-overflow': 'reject-publish' }
    await rig.tool.declare({
      mode: 'declare',
      exchanges: [],
      queues: [{ name: full, durable: true, type: 'plain', arguments: bounded }],
      bindings: [],
    })
    const ask = async (count: number, replyTo: string): Promise<void> => {
      for (let at = 0; at < count; at++) {
        const body = Buffer.from(JSON.stringify({ method: 'crm.deal.get', params: { id: 1 } }))
        const command = { body, headers: {}, messageId: `${replyTo} ${at}`, replyTo }
        await rig.tool.publish({ exchange: '', routingKey: rig.queues.commands }, command)
      }
    }
    await ask(40, full)
    rig.injected('reply refused by a full queue', 35)
    await ask(10, `${full}.missing`)
    rig.injected('reply queue missing', 10)
    await rig.load.send(200)
    await rig.account()
    await eventually(async () => {
      expect((await rig.tool.queueInfo(rig.queues.dead))?.messages).toBe(0) // The service has moved them into its store.
      expect(rig.fleet.logged('dead.kept')).toHaveLength(10)
    })
    const answered: string[] = []
    await rig.tool.consume(full, { prefetch: 1 }, (delivery) => {
      answered.push(String(delivery.message.correlationId))
      delivery.ack()
    })
    await eventually(() => expect(new Set(answered).size).toBe(40), 60_000)
    await sleep(500) // One too many would show by now.
    expect(answered).toHaveLength(40)
    expect(await rig.tool.queueInfo(rig.queues.commands)).toMatchObject({ messages: 0 })
  })
})

function quorum(name: string): Topology {
  return topologyOf({ queues: [{ name, durable: true, type: 'quorum' }] })
}

/** Makes a queue whose leader the broker forgets. */
async function loseLeader(rig: Rig, queue: string, more = {}): Promise<void> {
  await declareRaw(rig.node.url, queue, more)
  await rig.node.kill()
  rig.injected('broker killed')
  await rig.node.start()
  expect(rig.node.ctl('eval', `ets:lookup(ra_state, '%2F_${queue}').`)).toContain('follower')
  rig.injected('queue without a leader')
}

function elect({ node }: Rig, queue: string): void {
  node.ctl('eval', `ra:trigger_election({'%2F_${queue}', node()}).`)
}

/** As another program makes a queue: the broker has not written it down for a moment. */
async function declareRaw(url: string, queue: string, more: Record<string, unknown>): Promise<void> {
  const connection = await connect(url)
  connection.on('error', () => undefined)
  const channel = await connection.createChannel()
  channel.on('error', () => undefined)
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum', ...more } })
}

function residentMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
}
