import type { Bench } from '../lib/bench.ts'
import { programPath, startProgram } from '../lib/program.ts'

const CONNECTIONS = 500
const MESSAGES = 200

/** Hundreds of portals listened to in one process: memory of a connection, and messages a second. */
export const pushBench: Bench = {
  name: 'push',
  about: `${CONNECTIONS} connections to a push server in one process`,
  async run({ folder, quick, figure }) {
    const messages = quick ? 40 : MESSAGES
    const here = process.cwd()
    await using server = startProgram(programPath('push-server'), [here, String(CONNECTIONS * 2)], {
      cwd: folder.path,
    })
    const { url, accessToken } = JSON.parse(await server.line()) as { url: string; accessToken: string }
    const counts = [String(CONNECTIONS), String(messages)]
    await using program = startProgram(programPath('push'), [here, ...counts, url, accessToken], {
      cwd: folder.path,
      nodeFlags: ['--expose-gc'],
    })
    const memory = JSON.parse(await program.line()) as { heapKb: number; rssKb: number; openMs: number }
    figure({
      name: 'memory of a push connection',
      value: memory.heapKb,
      unit: 'KB',
      bound: { most: 50 },
      baseline: `resident memory grew by ${memory.rssKb.toFixed(1)} KB a connection; all were open after ${(memory.openMs / 1000).toFixed(1)} s`,
    })
    for (let n = 0; n < messages; n++) {
      const body = JSON.stringify({ do: 'send', command: `m${n}`, params: { n, text: 'x'.repeat(100) } })
      await fetch(`${url}/__sandbox/push`, { method: 'POST', body })
    }
    const { ms, handled } = JSON.parse(await program.line()) as { ms: number; handled: number }
    figure({
      name: `messages of ${CONNECTIONS} connections, encoded as events`,
      value: handled / (ms / 1000),
      unit: '/s',
      bound: { least: 5000 },
      baseline: 'the push server, on the same two cores, included',
    })
  },
}
