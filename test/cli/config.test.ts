import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { emptyFolder, run } from './support/command-line.ts'

const SECRETS = {
  BRIDGE_PORTAL: 'https://example.bitrix24.com/rest/1/topsecret123/',
  BRIDGE_BROKER: 'amqp://me:topsecret123@mq/',
  BRIDGE_ADMIN_TOKEN: 'topsecret123topsecret123',
}

describe('config print', () => {
  it('shows every setting with its source and no secret', async () => {
    const { code, out } = await run(['config', 'print', '--prefetch', '9'], { env: SECRETS })
    expect(code).toBe(0)
    expect(out).toMatch(/^BRIDGE_PREFETCH +9 +flag --prefetch$/m)
    expect(out).toMatch(/^BRIDGE_BROKER +amqp:\/\/me:•••@mq\/ +environment BRIDGE_BROKER$/m)
    expect(out).toMatch(/^BRIDGE_PORTAL +https:\/\/example\.bitrix24\.com\/rest\/1\/•••\/ /m)
    expect(out).toMatch(/^BRIDGE_ADMIN_TOKEN +set /m)
    expect(out).toMatch(/^BRIDGE_STORE .* default$/m)
    expect(out).not.toContain('topsecret123')
  })

  it('shows the same as JSON', async () => {
    const { code, out } = await run(['config', 'print', '--json'], { env: { BRIDGE_PREFETCH: '9' } })
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      contract: 'native',
      faults: [],
      settings: { prefetch: { env: 'BRIDGE_PREFETCH', text: '9', source: 'environment BRIDGE_PREFETCH' } },
    })
  })

  it('reads the file that --env-file names', async () => {
    const cwd = emptyFolder()
    writeFileSync(join(cwd, 'my.env'), 'BRIDGE_PREFETCH=11\n')
    const { out } = await run(['config', 'print', '--env-file', 'my.env'], { cwd })
    expect(out).toMatch(/^BRIDGE_PREFETCH +11 +my\.env BRIDGE_PREFETCH$/m)
  })
})

describe('config check', () => {
  it('is content with good settings', async () => {
    const { code, out } = await run(['config', 'check'], { env: SECRETS })
    expect([code, out]).toEqual([0, 'The settings are good (contract native).\n'])
  })

  it('lists every fault at once and ends with exit code 2', async () => {
    const env = { BRIDGE_LIMITS: 'fast', BRIDGE_BROKR: 'x' }
    const { code, err } = await run(['config', 'check'], { env })
    expect(code).toBe(2)
    expect(err).toMatch(/2 settings are wrong/)
    expect(err).toMatch(/BRIDGE_BROKR .* did you mean BRIDGE_BROKER\?/)
    expect(err).toMatch(/BRIDGE_LIMITS must be/)
    const json = JSON.parse((await run(['config', 'check', '--json'], { env })).err)
    expect(json).toMatchObject({
      error: { code: 'CONFIG_INVALID', faults: [expect.any(String), expect.any(String)] },
    })
  })

  it('misses the portal', async () => {
    const { code, err } = await run(['config', 'check'])
    expect(code).toBe(2)
    expect(err).toMatch(/^error: BRIDGE_PORTAL is not set; give it/)
  })
})
