import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPortal, run } from './support/command-line.ts'

describe('call', () => {
  let portal: Awaited<ReturnType<typeof openPortal>>
  beforeAll(async () => {
    portal = await openPortal()
  })
  afterAll(() => portal.sandbox.close())

  it('prints the result for people', async () => {
    const { code, out, err } = await run(['call', 'crm.deal.get', 'id=1'], portal)
    expect([code, err]).toEqual([0, ''])
    expect(JSON.parse(out)).toMatchObject({ ID: '1' })
    expect(out.split('\n').length).toBeGreaterThan(3)
  })

  it('prints the whole answer in one line with --json', async () => {
    const { code, out } = await run(
      ['call', 'crm.deal.list', '--params', '{"select":["ID"]}', '--json'],
      portal,
    )
    expect(code).toBe(0)
    expect(out.trimEnd()).not.toContain('\n')
    expect(JSON.parse(out)).toMatchObject({ total: 5, time: expect.anything() })
  })

  it('ends with exit code 3 when the portal refuses, and keeps its answer with --json', async () => {
    const { code, out, err } = await run(['call', 'no.such.method', '--json'], portal)
    expect(code).toBe(3)
    expect(JSON.parse(out)).toMatchObject({ error: 'ERROR_METHOD_NOT_FOUND' })
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'ERROR_METHOD_NOT_FOUND' }, exitCode: 3 })
  })

  it('ends with exit code 2 for words that are no parameters', async () => {
    const { code, err } = await run(['call', 'crm.deal.get', 'id'], portal)
    expect(code).toBe(2)
    expect(err).toMatch(/`id` is no key=value/)
  })

  it('ends with exit code 4 when nothing listens there', async () => {
    const env = { BRIDGE_PORTAL: 'http://127.0.0.1:9/rest/1/topsecret123/' }
    const { code, err } = await run(['call', 'crm.deal.add'], { env })
    expect(code).toBe(4)
    expect(err).not.toContain('topsecret123')
  })

  it('ends with exit code 5 when a write may have happened, and with 4 when a read has', async () => {
    portal.sandbox.fault([{ kind: 'reset-after', times: 0 }])
    try {
      expect((await run(['call', 'crm.deal.add', 'fields[TITLE]=x'], portal)).code).toBe(5)
      expect((await run(['call', 'crm.deal.get', 'id=1'], portal)).code).toBe(4)
      expect((await run(['list', 'crm.deal.list'], portal)).code).toBe(4)
    } finally {
      portal.sandbox.fault([])
    }
  })

  it('says what is missing without a portal', async () => {
    const { code, err } = await run(['call', 'profile'])
    expect(code).toBe(2)
    expect(err).toMatch(/No portal is set\.\n.*BRIDGE_PORTAL/)
  })
})
