import { request } from 'undici'
import { describe, expect, it } from 'vitest'
import type { Fault } from '../../src/sandbox/index.ts'
import { ask, open, send } from './ask.ts'

const ADD = { fields: { TITLE: 'once', ORIGIN_ID: 'erp-7' } }

describe('a fault', () => {
  it.each([
    [{ kind: 'refuse' }, 503, 0],
    [{ kind: 'refuse', status: 500, error: { error: 'X', error_description: 'y' } }, 500, 0],
    [{ kind: 'status' }, 502, 0],
    [{ kind: 'status', status: 500, executed: true }, 500, 1],
    [{ kind: 'html' }, 200, 0],
    [{ kind: 'html', executed: true }, 200, 1],
    [{ kind: 'truncate' }, 200, 1],
    [{ kind: 'slow', delayMs: 20 }, 200, 1],
    [{ kind: 'reset' }, 'reset', 0],
    [{ kind: 'reset-after' }, 'reset', 1],
  ] as [Fault, number | 'reset', number][])(
    '%j is seen as %s and leaves %i deals',
    async (fault, seen, deals) => {
      const sandbox = await open({ deals: 0 })
      for (const match of [{}, { method: 'crm.deal.add' }, { method: 'crm.*' }]) {
        sandbox.fault([{ ...fault, match }])
        const reply = await ask(sandbox, 'crm.deal.add', ADD).catch((error: { code: string }) => error.code)
        const status = typeof reply === 'string' ? reply : reply.status
        expect(status).toEqual(seen === 'reset' ? expect.stringMatching(/ECONNRESET|UND_ERR_SOCKET/) : seen)
        if (fault.kind === 'truncate' && typeof reply !== 'string') expect(reply.body).toBeUndefined()
      }
      expect((await ask(sandbox, 'crm.deal.list')).body.total).toBe(deals * 3)
      expect((await ask(sandbox, 'server.time')).status).toBe(200)
      expect(sandbox.stats().faults).toEqual({ [fault.kind]: 3 })
    },
  )

  it('that hangs answers never', async () => {
    const sandbox = await open()
    sandbox.fault([{ kind: 'hang' }])
    const hung = request(`${sandbox.webhookUrl}profile`, {
      headersTimeout: 100,
      signal: AbortSignal.timeout(100),
    })
    await expect(hung).rejects.toThrow()
    expect((await ask(sandbox, 'profile')).status).toBe(200)
  })

  it('that is slower than the cut ends with 504 after the write', async () => {
    const sandbox = await open({ deals: 0, cutMs: 30 })
    sandbox.fault([{ kind: 'slow', delayMs: 5000 }])
    expect((await ask(sandbox, 'crm.deal.add', ADD)).status).toBe(504)
    expect(sandbox.stats().writes).toBe(1)
  })

  it('acts from the n-th match on, as often as told, and the first in the list goes first', async () => {
    const sandbox = await open()
    sandbox.fault([
      { match: { method: 'profile', nth: 2 }, times: 2, kind: 'status', status: 500 },
      { match: { method: 'server.time' }, times: 0, kind: 'status', status: 502 },
    ])
    const statuses: number[] = []
    for (const method of ['profile', 'profile', 'profile', 'profile', 'server.time', 'server.time']) {
      statuses.push((await ask(sandbox, method)).status)
    }
    expect(statuses).toEqual([200, 500, 500, 200, 502, 502])
  })

  it('inside a batch refuses one command, or ends the request where it stands', async () => {
    const sandbox = await open({ deals: 0 })
    const cmd = {
      a: 'crm.deal.add?fields[TITLE]=a',
      b: 'crm.lead.add?fields[TITLE]=b',
      c: 'crm.deal.add?fields[TITLE]=c',
    }
    sandbox.fault([
      { match: { method: 'crm.lead.add' }, kind: 'refuse', error: { error: 'NO', error_description: '' } },
    ])
    const { result } = (await ask(sandbox, 'batch', { cmd })).body
    expect([Object.keys(result.result), result.result_error]).toEqual([
      ['a', 'c'],
      { b: { error: 'NO', error_description: '' } },
    ])
    sandbox.fault([{ match: { method: 'crm.lead.add' }, kind: 'reset-after' }])
    await expect(ask(sandbox, 'batch', { cmd })).rejects.toThrow()
    const { log } = sandbox.stats(undefined, true)
    expect(log?.map((write) => write.title)).toEqual(['a', 'c', 'a', 'b'])
    sandbox.fault([{ match: { method: 'batch' }, kind: 'reset-after' }])
    await expect(ask(sandbox, 'batch', { cmd })).rejects.toThrow()
    expect(sandbox.stats().writes).toBe(7)
  })
})

describe('the control addresses', () => {
  it('take faults, changes, time and names, and give statistics', async () => {
    const sandbox = await open({ host: '0.0.0.0', deals: 0 })
    const post = (path: string, body: unknown) =>
      send(`${sandbox.url}/__sandbox/${path}`, { body: JSON.stringify(body) })
    await post('faults', [{ kind: 'status', status: 500 }])
    expect((await ask(sandbox, 'profile')).status).toBe(500)
    const before = Date.parse((await ask(sandbox, 'server.time')).body.result)
    await post('advance', { ms: 3_600_000 })
    expect(Date.parse((await ask(sandbox, 'server.time')).body.result) - before).toBeGreaterThanOrEqual(
      3_600_000,
    )
    await ask(sandbox, 'crm.deal.add', ADD)
    const stats = (await send(`${sandbox.url}/__sandbox/stats?log=1`)).body
    expect(stats).toMatchObject({ requests: 4, writes: 1, commands: { 'server.time': 2, 'crm.deal.add': 1 } })
    expect(stats.log).toEqual([
      { method: 'crm.deal.add', id: 1, originId: 'erp-7', xmlId: null, title: 'once' },
    ])
    await post('portal', { stopped: true })
    expect((await ask(sandbox, 'profile')).status).toBe(410)
    await post('rename', { host: '127.0.0.7' })
    expect((await ask(sandbox, 'profile')).status).toBe(302)
    expect((await send(`${sandbox.url}/__sandbox/stats`)).body.requests).toBe(5)
    expect((await send(`${sandbox.url}/__sandbox/stats?portal=127.0.0.8`)).body.requests).toBe(0)
    expect((await send(`${sandbox.url}/__sandbox/faults`, { body: '{' })).status).toBe(400)
    expect((await send(`${sandbox.url}/__sandbox/nothing`)).status).toBe(404)
  })
})

describe('a closed sandbox', () => {
  it('may be closed again, and takes no more requests', async () => {
    const sandbox = await open()
    await ask(sandbox, 'profile')
    await sandbox.close()
    await sandbox.close()
    await expect(ask(sandbox, 'profile')).rejects.toThrow()
  })

  it('rejects at once when its port is taken', async () => {
    const sandbox = await open()
    await expect(open({ port: Number(new URL(sandbox.url).port) })).rejects.toThrow(/EADDRINUSE/)
  })
})
