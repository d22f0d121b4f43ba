import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../conformance/broker.ts'
import { BROKERS } from '../support/bridge.ts'
import { builtMain, needsBuilt } from '../support/built.ts'
import { type EventBench, openEventBench } from '../support/events.ts'
import { asApplication, bindOffline, drained, nudge, rowCounts } from '../support/offline.ts'

needsBuilt()

/** The service as a process of its own. */
async function run({ folder, env }: EventBench): Promise<{ child: ChildProcess; exit: Promise<unknown[]> }> {
  const child = spawn(process.execPath, [builtMain(), 'run'], {
    cwd: folder,
    env: { ...env, BRIDGE_LOG_FORMAT: 'json' } as NodeJS.ProcessEnv,
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk
    })
  }
  const exit = once(child, 'exit')
  onTestFinished(() => void child.kill('SIGKILL'))
  await eventually(() => expect(output).toContain('service.ready'), 20_000)
  return { child, exit }
}

/** Ids of the deals whose events still stand in the portal, reserved ones included. */
async function standing(bench: EventBench): Promise<number[]> {
  const ids: number[] = []
  for (let start = 0; ; start += 50) {
    const { result, total } = await asApplication(bench, 'event.offline.list', { start })
    for (const row of result) ids.push(row.EVENT_DATA.FIELDS.ID)
    if (start + 50 >= total) return ids
  }
}

for (const { name, kind, skip } of BROKERS) {
  describe.skipIf(skip)(`offline events of a service that is killed, ${name}`, () => {
    it('all arrive, and none is removed from the portal before the broker has it', async () => {
      const bench = await openEventBench({
        broker: kind,
        env: { BRIDGE_OFFLINE_LIMIT: '5', BRIDGE_OFFLINE_POLL: '1', BRIDGE_OFFLINE_IDLE_POLL: '1' },
      })
      await bindOffline(bench, '', 'ONCRMDEALADD')
      await nudge(bench)
      await eventually(async () => {
        const pumps = await bench.store.db.selectFrom('offline_pumps').selectAll().execute()
        expect(pumps).toHaveLength(1)
      })
      await bench.service.stop()
      bench.sandbox.change({ latencyMs: 20 })
      const { ids } = await bench.sandbox.changeData({ do: 'add', entity: 'deal', count: 1500, oneHit: true })
      const arrived = (): Set<number> =>
        new Set(
          bench.consumed.filter(({ body }) => body.kind === 'offline').map(({ body }) => body.data.FIELDS.ID),
        )
      let halfway = 0
      for (let kill = 0; kill < 6 && rowCounts(bench).cleared < ids.length; kill++) {
        const { child, exit } = await run(bench)
        const before = { requests: bench.sandbox.stats().requests, cleared: rowCounts(bench).cleared }
        await eventually(() => {
          // Half of them when rows have gone, so surely in the middle.
          if (kill % 2 === 1) expect(rowCounts(bench).cleared).toBeGreaterThan(before.cleared)
          else expect(bench.sandbox.stats().requests).toBeGreaterThan(before.requests + (kill % 3))
        }, 10_000)
        if (kill % 2 === 0) await sleep(kill * 13) // Somewhere between reading and clearing, each time elsewhere.
        child.kill('SIGKILL')
        await exit
        const left = new Set(await standing(bench))
        if (left.size > 0 && left.size < ids.length) halfway++
        await eventually(() => {
          const seen = arrived()
          expect(
            ids.filter((id) => !left.has(id) && !seen.has(id)),
            'removed, and not on the queue',
          ).toEqual([])
        })
      }
      const last = await run(bench)
      await drained(bench, 30_000)
      await eventually(() => expect(arrived().size).toBe(ids.length))
      expect(rowCounts(bench)).toMatchObject({ queued: 1500, cleared: 1500, lost: 0 })
      expect(halfway, 'kills in the middle of the drain').toBeGreaterThan(0)
      last.child.kill('SIGTERM')
      expect(await last.exit).toEqual([0, null])
    }, 120_000)
  })
}
