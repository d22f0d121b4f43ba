import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { eventually } from '../conformance/broker.ts'
import { note, skip } from './support/engines.ts'
import { sized } from './support/profile.ts'
import { openRig } from './support/rig.ts'

const KINDS = ['reset', 'reset-after', 'status', 'html', 'truncate', 'slow', 'hang'] as const
const LIMIT = { capacity: 20, drainPerSecond: 20 }

describe.skipIf(skip)(`bridges whose portals are in trouble${note}`, () => {
  it('resets, HTML, halves of answers, silence, in any order: each command has one end, and it is true', async () => {
    const rig = await openRig({
      name: 'portal answers',
      bridges: 2,
      limit: LIMIT,
      env: { BRIDGE_REQUEST_TIMEOUT: '2', BRIDGE_PORTAL_WAIT: '60' },
    })
    rig.load.start(150)
    for (let round = 0; round < sized(14, 100); round++) {
      const kind = KINDS[Math.floor(rig.random() * KINDS.length)] as (typeof KINDS)[number]
      const match = rig.random() < 0.5 ? {} : { match: { method: 'crm.deal.*' } }
      rig.sandbox.fault([{ kind, ...match, times: 2, delayMs: 3000, executed: rig.random() < 0.5 }])
      rig.injected(kind, 2)
      await sleep(500)
    }
    rig.sandbox.fault([])
    await rig.load.stop()
    const account = await rig.account()
    expect(account.unknown).toBeGreaterThan(0)
  })

  it('suspended, and reached under another name', async () => {
    const rig = await openRig({
      name: 'portal moves',
      bridges: 2,
      portals: 4,
      limit: LIMIT,
      env: { BRIDGE_PORTAL_WAIT: '5' },
    })
    const [moving = '', stopping = '', ...others] = rig.portals
    const wave = async (portals: readonly string[]): Promise<void> => {
      for (let round = 0; round < sized(20, 200); round++) {
        for (const portal of portals) await rig.load.send(3, { portal })
        await sleep(50)
      }
    }
    await wave(rig.portals)
    rig.sandbox.rename(moving.replace('127.0.', '127.9.'), moving)
    rig.injected('portal renamed')
    rig.sandbox.change({ stopped: true }, stopping)
    rig.injected('portal suspended')
    // These are refused once they have waited; it will be asked again in ten minutes.
    const refused = await rig.load.send(5, { portal: stopping })
    await wave([moving, ...others])
    await rig.account()
    for (const { key } of refused) expect(rig.repliesTo(key)).toMatchObject([{ code: 'PORTAL_DELETED' }])
    for (const { key, portal } of rig.load.sent.values())
      if (portal !== stopping) expect(rig.repliesTo(key), key).toMatchObject([{ outcome: 'done' }])
    expect(rig.fleet.logged('portal.renamed').length).toBeGreaterThan(0)
  })

  it('another program uses up the limit of the portal: the bridge gives way, and nothing counts as an attempt', async () => {
    const rig = await openRig({
      name: 'foreign load',
      bridges: 2,
      limit: { capacity: 10, drainPerSecond: 5 },
    })
    rig.load.start(60)
    for (let noise = 0; noise < sized(60, 600); noise++) {
      await fetch(`${rig.sandbox.webhookUrl}server.time`)
      await sleep(100)
    }
    rig.injected('request of a foreign program', sized(60, 600))
    await rig.load.stop()
    const account = await rig.account({ overLimit: true })
    expect(account.failed + account.unknown).toBe(0)
  })

  it('a method that has used up its operating time waits alone, until the portal lets it go on', async () => {
    const rig = await openRig({
      name: 'operating time',
      bridges: 1,
      mix: [{ weight: 1, kind: 'read' }],
      sandbox: { costs: { 'crm.deal.add': 1 } },
    })
    const writes = await rig.load.send(700, { kind: 'add' })
    rig.injected('write of one second each', writes.length)
    const waiting = (): number => writes.filter(({ key }) => rig.repliesTo(key).length === 0).length
    rig.load.start(100)
    await sleep(5000)
    await rig.load.stop()
    const reads = [...rig.load.sent.values()].filter(({ kind }) => kind === 'read')
    await eventually(
      () => expect(reads.filter(({ key }) => rig.repliesTo(key).length === 0)).toEqual([]),
      20_000,
    )
    expect(waiting(), 'writes that wait').toBeGreaterThanOrEqual(200)
    for (let later = 0; later < 3; later++) {
      // Ten minutes later for the portal; a bridge that has just been started need not wait them out.
      rig.sandbox.advance(11 * 60_000)
      await rig.fleet.replaceStopped(0)
      rig.injected('ten minutes later')
      await sleep(3000)
    }
    const account = await rig.account()
    expect(account.failed + account.unknown).toBe(0)
    expect(rig.sandbox.stats().refused.OPERATION_TIME_LIMIT ?? 0).toBe(0)
  })

  it('texts that look like macros stay what they are, whoever shares the batch', async () => {
    const rig = await openRig({ name: 'macros', bridges: 1, sandbox: { latencyMs: 20 } })
    rig.load.start(200)
    const titles = new Map<string, string>()
    for (let at = 0; at < 60; at++) {
      const title = `$result[${at}] $result[c${at}][ID] $result[0][TITLE] ${at}`
      const key = `macro ${at}`
      titles.set(key, title)
      const body = Buffer.from(
        JSON.stringify({ method: 'crm.deal.add', params: { fields: { TITLE: title } } }),
      )
      const address = { exchange: '', routingKey: rig.queues.commands }
      await rig.tool.publish(address, { body, headers: {}, messageId: key })
    }
    rig.injected('text with a macro', titles.size)
    await eventually(() => {
      for (const key of titles.keys()) expect(rig.repliesTo(key)).toHaveLength(1)
    }, 30_000)
    await rig.load.stop()
    await rig.account()
    const writes = rig.writes()
    for (const title of titles.values()) expect(writes.get(title)).toBe(1)
  })

  it('rubbish and repetitions among the commands: each is answered, and nothing is written twice', async () => {
    const rig = await openRig({ name: 'rubbish and duplicates', bridges: 3, portals: 3, limit: LIMIT })
    const address = { exchange: '', routingKey: rig.queues.commands }
    const rubbish = [
      '',
      'not json',
      '[]',
      '{"method":7}',
      '{"method":"crm.deal.add","params":3}',
      '\u0000\u0001',
    ]
    const publish = (key: string, body: string): Promise<void> =>
      rig.tool.publish(address, { body: Buffer.from(body), headers: {}, messageId: key })
    rig.load.start(100)
    const repeated = Array.from({ length: 100 }, (_, at) => `repeated ${at}`)
    for (const [at, key] of repeated.entries()) {
      const command = JSON.stringify({ method: 'crm.deal.add', params: { fields: { TITLE: key } } })
      await Promise.all([publish(key, command), publish(key, command), publish(key, command)])
      await publish(`rubbish ${at}`, rubbish[at % rubbish.length] as string)
    }
    rig.injected('command published three times', repeated.length)
    rig.injected('message that is no command', repeated.length)
    await eventually(() => {
      for (const key of repeated) expect(rig.repliesTo(key), key).toHaveLength(3)
      for (let at = 0; at < 100; at++)
        expect(rig.repliesTo(`rubbish ${at}`)).toMatchObject([{ outcome: 'failed' }])
    }, 60_000)
    await rig.load.stop()
    await rig.account()
    const writes = rig.writes()
    for (const key of repeated) {
      expect(new Set(rig.repliesTo(key).map(({ outcome }) => outcome)), key).toEqual(new Set(['done']))
      expect(writes.get(key), key).toBe(1)
    }
    expect(rig.fleet.logged('dead.kept')).toHaveLength(100)
  })
})
