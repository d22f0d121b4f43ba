import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { note, skip } from './support/engines.ts'
import { Bridge } from './support/fleet.ts'
import { sized } from './support/profile.ts'
import { openRig } from './support/rig.ts'

const LIMIT = { capacity: 20, drainPerSecond: 20 }
const mountable = process.getuid?.() === 0 && existsSync('/usr/bin/mount')

describe.skipIf(skip)(`bridges whose database is in trouble${note}`, () => {
  it('restarted, killed, cut off and silent, under load: no write goes past the ledger', async () => {
    const rig = await openRig({ name: 'database', bridges: 3, portals: 3, limit: LIMIT })
    rig.load.start(100)
    for (let round = 0; round < sized(1, 10); round++) {
      for (const mode of ['fast', 'immediate'] as const) {
        await sleep(1500)
        rig.cluster.stop(mode)
        rig.injected(mode === 'fast' ? 'database stopped' : 'database crashed')
        await sleep(2500) // Longer than a store that merely hesitates.
        rig.cluster.start()
      }
      await sleep(1500)
      rig.storeWay?.weather({ blackHole: 'both' })
      rig.injected('database silent')
      await sleep(4000)
      rig.storeWay?.weather()
      for (let cut = 0; cut < 5; cut++) {
        await sleep(300)
        rig.storeWay?.reset()
        rig.injected('connections to the database cut')
      }
    }
    await rig.load.stop()
    await rig.account({ twice: true })
  })

  it.skipIf(!mountable)(
    `a full disk under an SQLite store${mountable ? '' : ' (skipped: a small file system can only be mounted as root)'}`,
    async () => {
      const rig = await openRig({ name: 'full disk', bridges: 0, store: 'sqlite' })
      const disk = join(rig.folder, 'disk')
      mkdirSync(disk)
      expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'tmpfs', disk]).status, 'mount').toBe(0)
      onTestFinished(() => void spawnSync('umount', ['-l', disk]))
      await rig.fleet.add({ BRIDGE_STORE: `sqlite:${join(disk, 'bridge.db')}` })
      await rig.load.send(50)
      await rig.answered()
      for (let round = 0; round < sized(2, 10); round++) {
        fill(disk)
        rig.injected('disk full')
        await rig.load.send(2500, { kind: 'add' })
        await sleep(3000) // Some are tried, and handed back.
        expect(rig.fleet.output()).toMatch(/full/)
        rmSync(join(disk, 'filler'))
        await rig.answered()
      }
      await rig.account({ twice: true })
    },
  )

  it('two bridges on one SQLite file: the second one is refused with a sentence, and the first goes on', async () => {
    const rig = await openRig({ name: 'one file for two', bridges: 1, store: 'sqlite' })
    rig.load.start(50)
    for (let round = 0; round < sized(1, 5); round++) {
      const second = new Bridge({ env: rig.env, cwd: rig.folder })
      expect(await second.ends()).not.toBe(0)
      expect(second.output).toContain('is using this store')
      rig.injected('second bridge on the file')
    }
    await rig.fleet.replaceKilled(0)
    rig.injected('SIGKILL')
    await rig.fleet.members[0]?.ready()
    await rig.load.stop()
    await rig.account({ twice: true })
  })
})

/** Takes all that is left of a small file system. */
function fill(disk: string): void {
  const run = spawnSync('dd', ['if=/dev/zero', `of=${join(disk, 'filler')}`, 'bs=64k'], { stdio: 'ignore' })
  expect(run.status, 'dd ends when the disk is full').not.toBe(0)
  try {
    writeFileSync(join(disk, 'filler'), Buffer.alloc(65_536), { flag: 'a' })
  } catch {
    // As it should be.
  }
}
