import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { note, skip } from './support/engines.ts'
import { sized } from './support/profile.ts'
import { openRig, type Rig } from './support/rig.ts'
import { wrongClock } from './support/wrong-clock.ts'

const LIMIT = { capacity: 20, drainPerSecond: 20 }
const HOUR_MS = 3_600_000

describe.skipIf(skip)(`bridges as processes${note}`, () => {
  it('replaced one by one at full load: nobody outside sees it', async () => {
    const rig = await openRig({
      name: 'rolling restart',
      bridges: 3,
      portals: 3,
      limit: LIMIT,
      sandbox: { latencyMs: 50 },
    })
    rig.load.start(150)
    for (let round = 0; round < sized(3, 30); round++) {
      await sleep(500)
      expect(await rig.fleet.replaceStopped(round % 3)).toBe(0)
      rig.injected('SIGTERM')
    }
    await rig.load.stop()
    const account = await rig.account()
    expect(account.done).toBe(account.commands)
  })

  it('the wall clock of one bridge jumps by hours and days, and back', async () => {
    const rig = await openRig({ name: 'clock jumps', bridges: 1, portals: 3, limit: LIMIT })
    const clock = wrongClock(rig.folder)
    await rig.fleet.add(clock.env, clock.nodeFlags)
    rig.load.start(100)
    for (const hours of [1, -1, 24, -24, 0]) {
      await sleep(1500)
      clock.jump(hours * HOUR_MS)
      rig.injected('clock jump')
    }
    await sleep(1500)
    await rig.load.stop()
    const account = await rig.account()
    expect(account.failed + account.unknown).toBe(0)
  })

  it('one of two bridges stands still for seven seconds, and wakes up to a broker that gave it up', async () => {
    const rig = await openRig({
      name: 'stalled process',
      bridges: 2,
      portals: 3,
      limit: LIMIT,
      sandbox: { latencyMs: 30 },
      // A process that wakes up after the quiet period would contradict its heirs.
      env: { BRIDGE_QUIET_PERIOD: '12' },
    })
    rig.load.start(100)
    for (let round = 0; round < sized(1, 10); round++) {
      await sleep(1000)
      await stall(rig, round % 2, 7000)
    }
    await rig.load.stop()
    await rig.account({ twice: true })
  })
})

async function stall(rig: Rig, at: number, ms: number): Promise<void> {
  const bridge = rig.fleet.members[at]
  bridge?.stall()
  rig.injected('process stalled')
  await sleep(ms)
  bridge?.go()
}
