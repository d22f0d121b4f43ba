import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { emptyFolder, run } from './support/command-line.ts'

/** Starts a sandbox, does something while it runs, and ends it as Ctrl+C does. */
async function during(argv: readonly string[], cwd: string, work: (out: string) => Promise<void>) {
  const interrupt = new AbortController()
  let started: (out: string) => void = () => {}
  const first = new Promise<string>((resolve) => {
    started = resolve
  })
  const ended = run(['sandbox', '--port', '0', ...argv], { cwd, signal: interrupt.signal, onOut: started })
  try {
    await work(await Promise.race([first, ended.then(({ err }) => Promise.reject(new Error(err)))]))
  } finally {
    interrupt.abort()
  }
  return ended
}

describe('sandbox', () => {
  it('is a portal that can be called until it is interrupted, which is no error', async () => {
    const { code } = await during(['--deals', '3', '--json'], emptyFolder(), async (out) => {
      const { webhook } = JSON.parse(out) as { webhook: string }
      const called = await run(['call', 'crm.deal.list', '--portal', webhook, '--json'])
      expect(JSON.parse(called.out)).toMatchObject({ total: 3 })
    })
    expect(code).toBe(0)
  })

  it('shows the webhook and what to do next', async () => {
    const { out } = await during([], emptyFolder(), async () => {})
    expect(out).toMatch(/Sandbox portal at http:\/\/127\.0\.0\.1:\d+ \(plan standard, 1000 deals\)/)
    expect(out).toMatch(/export BRIDGE_PORTAL=http:\/\/127\.0\.0\.1:\d+\/rest\/1\/\w+\/\n/)
  })

  it('serves https, and writes the certificate that clients must trust', async () => {
    const cwd = emptyFolder()
    await during(['--tls', '--certificate', 'ca.pem', '--json'], cwd, async (out) => {
      const { webhook } = JSON.parse(out) as { webhook: string }
      expect(webhook).toMatch(/^https:/)
      expect(readFileSync(join(cwd, 'ca.pem'), 'utf8')).toContain('BEGIN CERTIFICATE')
      const words = ['call', 'profile', '--portal', webhook]
      expect((await run(words, { cwd })).code).toBe(4)
      expect((await run([...words, '--tls-ca', 'ca.pem'], { cwd })).code).toBe(0)
    })
  })

  it('says so when the port is taken', async () => {
    await during(['--json'], emptyFolder(), async (out) => {
      const port = new URL((JSON.parse(out) as { url: string }).url).port
      const second = await run(['sandbox', '--port', port])
      expect(second.code).toBe(2)
      expect(second.err).toMatch(/another program listens there\.\n.*Choose another port/)
    })
  })

  it('has the applications that were asked for, with an authorization server of its own', async () => {
    const words = [
      '--app',
      'local.orders:made-up',
      '--app',
      'local.more:made-up-too',
      '--oauth-port',
      '0',
      '--json',
    ]
    await during(words, emptyFolder(), async (out) => {
      const { url, oauthUrl, memberId, apps } = JSON.parse(out)
      expect(apps).toEqual(['local.orders', 'local.more'])
      expect(oauthUrl).not.toBe(url)
      const body = JSON.stringify({ do: 'token', clientId: 'local.orders' })
      const answer = await fetch(`${url}/__sandbox/apps`, { method: 'POST', body })
      expect(await answer.json()).toMatchObject({ token: { member_id: memberId } })
    })
    const { out } = await during(['--app', 'local.orders:made-up'], emptyFolder(), async () => {})
    expect(out).toMatch(/Application local\.orders is installed on 127\.0\.0\.1:\d+ \(member id \w{32}\)/)
    expect(out).toContain('export BRIDGE_OAUTH_SERVERS=http://127.0.0.1:')
    expect(out).not.toContain('made-up')
    const wrong = await run(['sandbox', '--app', 'nonsense'])
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('an id and a secret') })
  })
})
