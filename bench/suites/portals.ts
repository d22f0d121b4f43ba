import type { Bench, BenchContext } from '../lib/bench.ts'
import { programPath, startProgram } from '../lib/program.ts'

const PORTALS = 1000
const STORED = 10_000
const USED = 1000

/** Memory of portals that have nothing to do, and what thousands of them in the store cost. */
export const portalsBench: Bench = {
  name: 'portals',
  about: '1,000 idle portals in one process, and 10,000 in the store',
  async run(context) {
    await using program = startProgram(programPath('portals'), [process.cwd(), String(PORTALS)], {
      cwd: context.folder.path,
      nodeFlags: ['--expose-gc'],
    })
    const { heapKb, rssKb } = JSON.parse(await program.line()) as { heapKb: number; rssKb: number }
    context.figure({
      name: 'memory of an idle portal',
      value: heapKb,
      unit: 'KB',
      bound: { most: 100 },
      baseline: `resident memory grew by ${rssKb.toFixed(1)} KB a portal`,
    })
    await stored(context)
  },
}

async function stored(context: BenchContext): Promise<void> {
  const folder = context.folder.path
  const counts = [String(STORED), String(USED)]
  await using program = startProgram(programPath('stored-portals'), [process.cwd(), folder, ...counts], {
    cwd: folder,
    nodeFlags: ['--expose-gc'],
  })
  const found = JSON.parse(await program.line()) as Record<
    'startMs' | 'coldMs' | 'warmMs' | 'heapKb' | 'rssKb',
    number
  >
  context.figure({
    name: 'opening a store of 10,000 portals',
    value: found.startMs / 1000,
    unit: 's',
    bound: { most: 2 },
  })
  context.figure({
    name: 'first call to a stored portal, p95',
    value: found.coldMs,
    unit: 'ms more',
    bound: { most: 20 },
    baseline: `a later call took ${found.warmMs.toFixed(2)} ms, with a portal that answers at once`,
  })
  context.figure({
    name: 'memory of a stored portal in use',
    value: found.heapKb,
    unit: 'KB',
    bound: { most: 100 },
    baseline: `resident memory grew by ${found.rssKb.toFixed(1)} KB a portal`,
  })
}
