import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../conformance/broker.ts'
import { addDeal, openBench } from '../support/bridge.ts'
import { needsBuilt } from '../support/built.ts'
import { runBuilt } from '../support/built-service.ts'
import { openEventBench } from '../support/events.ts'
import { notifyNote, openNotifySocket } from '../support/notify-socket.ts'

needsBuilt()

function urlOf(output: string): string {
  const { url } = JSON.parse(/.*service\.listening.*/.exec(output)?.[0] ?? '{}') as { url: string }
  return url
}

describe('the built service, asked to end', () => {
  it('ends at once by a second signal, and leaves what was under way to the ledger', async () => {
    const bench = await openBench({
      broker: 'embedded',
      started: false,
      env: { BRIDGE_DRAIN_TIMEOUT: '60', BRIDGE_REQUEST_TIMEOUT: '60' },
    })
    onTestFinished(() => bench[Symbol.asyncDispose]())
    bench.sandbox.fault([{ kind: 'hang', times: 0, match: { method: 'crm.deal.add' } }])
    const id = await bench.send(addDeal('hangs'))
    const service = await runBuilt(bench)
    await eventually(() => expect(bench.sandbox.stats().faults.hang).toBe(1))
    const page = await (await fetch(`${urlOf(service.output())}/metrics`)).text()
    expect(Number(/^b24_command_oldest_age_seconds (.*)$/m.exec(page)?.[1])).toBeGreaterThan(0)
    service.child.kill('SIGTERM')
    await eventually(() => expect(service.output()).toContain('service.draining'))
    service.child.kill('SIGTERM')
    expect(await service.exit).toEqual([130, null])
    expect(bench.repliesTo(id)).toEqual([])
    bench.sandbox.fault([])
    await bench.start()
    expect((await bench.reply(id)).body).toMatchObject({ outcome: 'unknown' })
    expect(bench.sandbox.stats().writes).toBe(0)
  }, 30_000)

  it('takes events while readiness is gone, and loses none that it answered', async () => {
    const bench = await openEventBench({ env: { BRIDGE_DRAIN_GRACE: '1.5' } })
    await bench.service.stop()
    const service = await runBuilt(bench)
    const url = urlOf(service.output())
    service.child.kill('SIGTERM')
    await eventually(async () => expect((await fetch(`${url}/readyz`)).status).toBe(503))
    expect((await fetch(`${url}/livez`)).status).toBe(200)
    const answered: number[] = []
    for (let id = 1; ; id++) {
      const answer = await bench.post(bench.deal(id), { path: `${url}/b24/events` }).catch(() => undefined)
      if (answer === undefined) break // The port is closed.
      expect(answer.status).toBe(200)
      answered.push(id)
      await sleep(5) // A load that lasts until the port is closed.
    }
    expect(await service.exit).toEqual([0, null])
    expect(answered.length).toBeGreaterThan(10)
    await bench.start()
    await eventually(() => expect(bench.deals()).toEqual(answered))
  }, 30_000)

  it('prints what is left of its spans, with the SDK of examples/tracing.mjs', async () => {
    const bench = await openBench({ broker: 'embedded', started: false })
    onTestFinished(() => bench[Symbol.asyncDispose]())
    const example = new URL('../../examples/tracing.mjs', import.meta.url).href
    const service = await runBuilt({
      folder: bench.folder,
      env: { ...bench.env, NODE_OPTIONS: `--import ${example}` },
    })
    await bench.ask({ method: 'crm.deal.get', params: { id: 7 } })
    service.child.kill('SIGTERM')
    expect(await service.exit).toEqual([0, null])
    for (const name of [`process ${bench.commandQueue}`, 'POST', `send ${bench.replyQueue}`])
      expect(service.output()).toContain(`name: '${name}'`)
    expect(service.output()).not.toContain('s3cr3t')
  }, 30_000)

  it.skipIf(notifyNote !== '')(
    `tells systemd that it is ready, alive and stopping${notifyNote}`,
    async () => {
      const { path, heard } = await openNotifySocket()
      const bench = await openBench({ broker: 'embedded', started: false })
      onTestFinished(() => bench[Symbol.asyncDispose]())
      const env = {
        ...bench.env,
        PATH: process.env.PATH,
        NOTIFY_SOCKET: path,
        WATCHDOG_USEC: String(400_000),
      }
      const service = await runBuilt({ folder: bench.folder, env })
      await eventually(() => expect(heard().match(/WATCHDOG=1/g)?.length).toBeGreaterThan(2), 10_000)
      service.child.kill('SIGTERM')
      expect(await service.exit).toEqual([0, null])
      await eventually(() => expect(heard()).toContain('STOPPING=1'))
      const order = ['STATUS=Starting', 'READY=1', 'WATCHDOG=1', 'STOPPING=1']
      const places = order.map((text) => heard().indexOf(text))
      expect(places).toEqual([...places].sort((a, b) => a - b))
      expect(heard()).toContain('STATUS=Serving; 0 commands in hand')
      expect(heard()).not.toContain('s3cr3t')
    },
    30_000,
  )
})
