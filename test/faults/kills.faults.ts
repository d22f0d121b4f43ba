import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { note, skip } from './support/engines.ts'
import { sized } from './support/profile.ts'
import { openRig } from './support/rig.ts'

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
})
