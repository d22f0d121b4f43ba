import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import pino from 'pino'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readConfig } from '../src/config/read.ts'
import { startService } from '../src/service.ts'
import { eventually } from './conformance/broker.ts'
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

  it('answers probes while it waits for its broker, and ends at once when asked to', async () => {
    const lines: string[] = []
    const logger = pino({ base: null }, { write: (line: string) => void lines.push(line) })
    const config = readConfig({
      env: {
        BRIDGE_PORTAL: 'http://127.0.0.1:9/rest/1/abc/',
        BRIDGE_BROKER: 'amqp://guest:guest@127.0.0.1:9/',
        BRIDGE_STORE: 'sqlite::memory:',
        BRIDGE_HTTP: '127.0.0.1:0',
      },
      cwd: tmpdir(),
    })
    const stop = new AbortController()
    const starting = startService(config, { logger, signal: stop.signal })
    const ended = expect(starting).rejects.toMatchObject({ name: 'AbortError' })
    let url: string | undefined
    await eventually(() => {
      url = lines.map((line) => JSON.parse(line)).find(({ msg }) => msg === 'service.listening')?.url
      expect(url).toBeDefined()
    }, 5000)
    expect((await fetch(`${url}/health/live`)).status).toBe(200)
    const ready = await fetch(`${url}/health/ready`)
    expect(ready.status).toBe(503)
    expect(await ready.text()).toContain('broker')
    stop.abort()
    await ended
    await expect(fetch(`${url}/health/live`)).rejects.toThrow()
  })
})
