import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ADMIN_TOKEN, addDeal, type Bench, openBench } from './support/bridge.ts'

describe('a service', () => {
  async function open(env: Record<string, string> = {}, started = true): Promise<Bench> {
    const bench = await openBench({ broker: 'embedded', env, started })
    onTestFinished(() => bench[Symbol.asyncDispose]())
    return bench
  }

  it('says that it is ready, shows its numbers, and is gone after its stop, which may be asked for twice', async () => {
    const bench = await open()
    const { service } = bench
    await bench.ask(addDeal('counted'))
    expect((await fetch(`${service.url}/health/live`)).status).toBe(200)
    expect((await fetch(`${service.url}/health/ready`)).status).toBe(200)
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
    const metrics = await (await fetch(`${service.url}/metrics`, { headers })).text()
    expect(metrics).toMatch(/^b24_\w+/m)
    expect(metrics).not.toContain('s3cr3t')
    expect(service.lanes()).toMatchObject([{ stats: { requests: 1, waiting: 0, inFlight: 0 } }])
    expect(service.inHand()).toBe(0)
    expect(await Promise.all([service.stop(), service.stop()])).toEqual([true, true])
    await expect(fetch(`${service.url}/health/live`)).rejects.toThrow()
    await bench.account()
  })

  it('logs one line a command, with the outcome and without parameters', async () => {
    const bench = await open()
    await bench.ask(addDeal('a title that nobody may read'))
    await bench.service.stop()
    expect(bench.logged('command.settled')).toMatchObject([
      { method: 'crm.deal.add', outcome: 'done', status: 200, attempts: 1, replayed: false },
    ])
    expect(bench.logs()).not.toContain('nobody may read')
    const events = ['service.starting', 'service.ready', 'service.draining', 'service.stopped']
    for (const event of events) expect(bench.logged(event), event).toHaveLength(1)
  })

  it('closes what it has opened when a part of it cannot start, and loses no command by that', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void taken.close())
    await new Promise((resolve) => taken.once('listening', resolve))
    const port = (taken.address() as AddressInfo).port
    const bench = await open({}, false)
    const id = await bench.send(addDeal('early'))
    const { env } = bench as { env: Record<string, string> }
    env.BRIDGE_HTTP = `127.0.0.1:${port}`
    await expect(bench.start()).rejects.toThrow()
    env.BRIDGE_HTTP = '127.0.0.1:0'
    await bench.start()
    expect((await bench.reply(id)).body.outcome).toBe('done')
    expect(bench.sandbox.stats().writes).toBe(1)
  })
})
