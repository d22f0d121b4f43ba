import type { Bench } from '../lib/bench.ts'
import { programPath, startProgram } from '../lib/program.ts'

const PORTALS = 1000

/** Memory of portals that have nothing to do. */
export const portalsBench: Bench = {
  name: 'portals',
  about: '1,000 idle portals in one process',
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
  },
}
