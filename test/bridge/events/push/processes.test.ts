import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../../../conformance/broker.ts'
import { builtMain, needsBuilt } from '../../../support/built.ts'
import { createFor, DATABASES } from '../../../support/databases.ts'
import { openPushBench, type PushBench } from './bench.ts'

needsBuilt()

/** The whole service as a process of its own, once it is ready. */
async function run({ env, folder }: PushBench): Promise<ChildProcess> {
  const own = {
    BRIDGE_HTTP: '127.0.0.1:0',
    BRIDGE_LOG_FORMAT: 'json',
    BRIDGE_COMMAND_QUEUE: `b24.test.commands.${randomUUID()}`,
    BRIDGE_REPLY_QUEUE: `b24.test.replies.${randomUUID()}`,
  }
  const child = spawn(process.execPath, [builtMain(), 'run'], {
    cwd: folder,
    env: { ...env, ...own } as NodeJS.ProcessEnv,
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output += chunk
    })
  onTestFinished(() => void child.kill('SIGKILL'))
  await eventually(() => expect(output).toContain('service.ready'), 20_000)
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

it('a bridge that is killed again and again loses nothing, and what comes twice has the same key', async () => {
  const bench = await openPushBench()
  // The first process sets the table.
  const first = await bench.listen()
  // The server sees a connection before we do, and only ours has a place to go on from.
  await eventually(() => expect(first.supervisor.states()).toMatchObject({ open: 1 }), 10_000)
  await first.stop()
  const said: string[] = []
  let talking = true
  const talker = (async () => {
    for (let n = 1; talking; n++) {
      said.push(`m${n}`)
      bench.say(`m${n}`)
      await sleep(5) // A stream that lasts over all the kills.
    }
  })()
  for (let kills = 0; kills < 3; kills++) {
    const child = await run(bench)
    await bench.connections(1)
    const before = bench.consumed.length
    await eventually(() => expect(bench.consumed.length).toBeGreaterThan(before + 50 + 35 * kills), 20_000)
    await kill(child)
    await eventually(() => expect(bench.sandbox.pushState().connections).toHaveLength(0))
  }
  talking = false
  await talker
  await run(bench)
  await bench.arrived(said)
  const keys = new Map(bench.consumed.map(({ message, body }) => [message.messageId, body.event]))
  expect(keys.size).toBe(said.length)
}, 120_000)

const postgres = DATABASES.find(({ name }) => name === 'PostgreSQL')!

describe.skipIf(postgres.skip)(`two processes at one database${postgres.note}`, () => {
  const QUICK = { leaseMs: 3000, scanMs: 500 }

  it('one of them listens; when it is stopped, or dies, the other one goes on', async () => {
    const { url } = await createFor(postgres)
    const bench = await openPushBench({ store: url })
    const first = await bench.listen(QUICK)
    await bench.connections(1)
    const second = await bench.listen(QUICK)
    await sleep(1500) // Time for the other one to look, three times.
    expect(bench.sandbox.pushState().connects).toHaveLength(1)
    expect([first, second].map((one) => one.supervisor.states().open)).toEqual([1, 0])

    bench.say('m1')
    await bench.arrived(['m1'])
    await first.stop()
    bench.say('m2')
    await eventually(() => expect(second.supervisor.states().open).toBe(1), 5000)
    await bench.arrived(['m1', 'm2'])

    const dying = await run({ ...bench, env: { ...bench.env, BRIDGE_PUSH: 'true' } })
    await second.stop()
    await bench.connections(0)
    await bench.connections(1)
    bench.say('m3')
    await bench.arrived(['m1', 'm2', 'm3'])
    const third = await bench.listen(QUICK)
    await kill(dying)
    bench.say('m4')
    // The lease of one that was killed ends by time alone.
    await eventually(() => expect(third.supervisor.states().open).toBe(1), 40_000)
    await bench.arrived(['m1', 'm2', 'm3', 'm4'])
    expect(new Set(bench.consumed.map(({ message }) => message.messageId)).size).toBe(4)
  }, 120_000)
})
