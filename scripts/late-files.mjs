// A reporter for vitest: a test file that runs for far too long ends the run, and the run says what its processes are at.
// A time limit of a test cannot do that: it is of no use while the process of the file is busy, or waits for another one.
import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'

const LIMIT_MS = Number(process.env.TEST_FILE_LIMIT_MS || 300_000)
const INSPECTOR = 'http://127.0.0.1:9229/json/list'

export default class LateFiles {
  #timers = new Map()

  onTestModuleQueued({ moduleId }) {
    this.#timers.set(
      moduleId,
      setTimeout(() => void endRun(moduleId), LIMIT_MS),
    )
  }

  onTestModuleEnd({ moduleId }) {
    clearTimeout(this.#timers.get(moduleId))
  }

  onTestRunEnd() {
    for (const timer of this.#timers.values()) clearTimeout(timer)
  }
}

async function endRun(file) {
  console.error(`\nLATE: ${file} has been running for ${LIMIT_MS / 1000} s, and ends this run`)
  const asked = spawnSync('ps', ['-o', 'pid=', '--ppid', String(process.pid)], { encoding: 'utf8' })
  for (const pid of asked.stdout.split('\n').map(Number).filter(Boolean)) {
    const children = spawnSync('ps', ['-o', 'pid,etimes,stat,args', '--ppid', String(pid)], {
      encoding: 'utf8',
    })
    console.error(`\nProcess ${pid}: ${await stackOf(pid)}\nstarted:\n${children.stdout}`)
    try {
      // The next one gets the inspector's port.
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended meanwhile.
    }
  }
  process.exit(1)
}

/** Where a process of Node.js is, also when it never comes back to its event loop. https://nodejs.org/en/learn/getting-started/debugging */
async function stackOf(pid) {
  try {
    process.kill(pid, 'SIGUSR1')
    await sleep(500)
    const [{ webSocketDebuggerUrl }] = await (await fetch(INSPECTOR)).json()
    const socket = new WebSocket(webSocketDebuggerUrl)
    socket.on('open', () => {
      socket.send('{"id":1,"method":"Debugger.enable"}')
      socket.send('{"id":2,"method":"Debugger.pause"}')
    })
    const files = new Map()
    const paused = new Promise((resolve, reject) => {
      socket.on('error', reject)
      socket.on('message', (text) => {
        const { method, params } = JSON.parse(text)
        if (method === 'Debugger.scriptParsed') files.set(params.scriptId, params.url)
        if (method === 'Debugger.paused') resolve(params.callFrames)
      })
    })
    const frames = await Promise.race([paused, sleep(2000, undefined)])
    if (frames === undefined) return 'it waits'
    const lines = frames.map(({ functionName, location: { scriptId, lineNumber } }) => {
      return `  ${functionName || '(no name)'} ${files.get(scriptId)}:${lineNumber + 1}`
    })
    return `\n${lines.join('\n')}`
  } catch (error) {
    return `nobody knows where (${error.message})`
  }
}
