import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { eventually } from '../conformance/broker.ts'
import { note, skip } from './support/engines.ts'
import { sized } from './support/profile.ts'
import { openRig, type Rig } from './support/rig.ts'

const LIMIT = { capacity: 20, drainPerSecond: 20 }

describe.skipIf(skip)(`bridges that are killed${note}`, () => {
  it('three under load, one of them killed again and again: nothing is lost, doubled or over the limit', async () => {
    const rig = await openRig({
      name: 'kill loop',
      bridges: 3,
      portals: 5,
      limit: LIMIT,
      sandbox: { latencyMs: 15 },
    })
    const kills = sized(52, 300)
    rig.load.start(sized(120, 200))
    for (let kill = 0; kill < kills; kill++) {
      // In the middle of its work, each time elsewhere.
      const victim = kill % 3
      await rig.fleet.members[victim]?.ready()
      await sleep(50 + rig.random() * 450)
      await rig.fleet.replaceKilled(victim)
      rig.injected('SIGKILL')
    }
    await rig.load.stop()
    for (const bridge of rig.fleet.members) await bridge.ready()
    const account = await rig.account({ twice: true })
    expect(account.done).toBeGreaterThan(account.commands * 0.8)
  })

  it('killed while a request is still on its way to the portal: the next one waits for the quiet period', async () => {
    const rig = await openRig({
      name: 'kill before arrival',
      bridges: 2,
      mix: [{ weight: 1, kind: 'marked' }],
    })
    for (let round = 0; round < sized(2, 20); round++) {
      // The request arrives long after its sender has died, and after the next process has its commands.
      rig.portalWay.weather({ latencyMs: 1500 })
      await rig.load.send(150)
      await sleep(400 + rig.random() * 600)
      await Promise.all([rig.fleet.replaceKilled(0), rig.fleet.replaceKilled(1)])
      rig.injected('SIGKILL of both bridges', 1)
      await sleep(1500)
      rig.portalWay.weather()
      await Promise.all(rig.fleet.members.map((bridge) => bridge.ready()))
      await rig.answered()
    }
    const account = await rig.account({ twice: true })
    expect(account.unknown).toBe(0)
    expect(account.writes).toBe(account.commands)
  })

  /** What stands still when the process is killed, so that it dies between two certain steps. */
  const HOPS = {
    'before the ledger has the command': (rig: Rig) => rig.storeWay?.weather({ blackHole: 'both' }),
    'before the request arrives': (rig: Rig) => rig.portalWay.weather({ blackHole: 'questions' }),
    'before the answer arrives': (rig: Rig) => rig.portalWay.weather({ blackHole: 'answers' }),
    'before the reply leaves': (rig: Rig) => rig.brokerWay.weather({ blackHole: 'questions' }),
    'before the reply is confirmed': (rig: Rig) => rig.brokerWay.weather({ blackHole: 'answers' }),
  }

  it('killed between any two steps of a command: each command is answered once, and written at most once', async () => {
    const rig = await openRig({ name: 'kill at each hop', bridges: 1 })
    for (let round = 0; round < sized(2, 20); round++)
      for (const [hop, stop] of Object.entries(HOPS)) {
        await rig.fleet.members[0]?.ready()
        await rig.load.send(10)
        rig.load.start(200)
        await sleep(100)
        stop(rig)
        await sleep(100 + rig.random() * 200)
        await rig.fleet.replaceKilled(0)
        rig.injected(`SIGKILL ${hop}`)
        for (const way of [rig.brokerWay, rig.storeWay, rig.portalWay]) way?.weather()
        await rig.load.stop()
      }
    const account = await rig.account({ twice: true })
    expect(account.done).toBeGreaterThan(0)
    expect(account.unknown).toBeGreaterThan(0)
  })

  it('commands with one order key, on three bridges that are killed in turn: none overtakes another', async () => {
    const rig = await openRig({
      name: 'order',
      bridges: 3,
      ordered: true,
      sandbox: { latencyMs: 10 },
      mix: [
        { weight: 3, kind: 'update' },
        { weight: 1, kind: 'read' },
      ],
      env: { BRIDGE_REQUEST_TIMEOUT: '2', BRIDGE_QUIET_PERIOD: '3' },
    })
    rig.load.start(25)
    for (let kill = 0; kill < sized(6, 60); kill++) {
      await sleep(500 + rig.random() * 1500)
      await rig.fleet.replaceKilled(kill % 3)
      rig.injected('SIGKILL')
      await Promise.all(rig.fleet.members.map((bridge) => bridge.ready()))
    }
    await rig.load.stop()
    await rig.account({ twice: true })
    const written = [...rig.writes().keys()]
    const sent = [...rig.load.sent.keys()].filter((key) => written.includes(key))
    expect(written).toEqual(sent)
  })

  it.each([
    { where: 'a quorum queue', name: 'poison', classic: false },
    { where: 'a classic queue with none beside it', name: 'poison, classic', classic: true },
  ])(
    'on $where a command that kills whoever carries it out is convicted alone, and its neighbours are carried out',
    async ({ name, classic }) => {
      const rig = await openRig({ name, classic, bridges: 1, store: 'sqlite' })
      rig.sandbox.fault([{ kind: 'hang', times: 0, match: { method: 'crm.lead.get' } }])
      // A read: a write would be answered from the ledger after the first death.
      const poison = 'poison'
      const body = Buffer.from(JSON.stringify({ method: 'crm.lead.get', params: { id: 1 } }))
      await rig.tool.publish(
        { exchange: '', routingKey: rig.queues.commands },
        { body, headers: {}, messageId: poison },
      )
      await rig.load.send(100)
      for (let deaths = 0; rig.repliesTo(poison).length === 0; deaths++) {
        expect(deaths, 'kills until it was convicted').toBeLessThan(12)
        const before = rig.sandbox.stats().faults.hang ?? 0
        await eventually(() => {
          const tried = (rig.sandbox.stats().faults.hang ?? 0) > before
          expect(tried || rig.repliesTo(poison).length > 0).toBe(true)
        }, 30_000)
        if (rig.repliesTo(poison).length > 0) break
        await rig.fleet.replaceKilled(0)
        rig.injected('SIGKILL by the poison')
      }
      await eventually(async () => {
        const { messages } = (await rig.tool.queueInfo(rig.queues.commands)) ?? { messages: 1 }
        expect(messages).toBe(0)
      })
      const account = await rig.account({ twice: true })
      expect(account.failed).toBe(0)
      expect(rig.repliesTo(poison)).toMatchObject([{ outcome: 'unknown', code: 'COMMAND_FATAL' }])
    },
  )
})
