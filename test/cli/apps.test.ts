import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { emptyFolder, run } from './support/command-line.ts'

const ID = 'app.573ad8a0346747.09223434'
const SECRET = 'marked-client-secret'

function world() {
  const cwd = emptyFolder()
  const env: Record<string, string> = { BRIDGE_STORE: `sqlite:${join(cwd, 'bridge.db')}` }
  return { cwd, env }
}

describe('apps', () => {
  it('keeps an application by its id, with the secret from a file, stdin or a variable', async () => {
    const { cwd, env } = world()
    writeFileSync(join(cwd, 'secret.txt'), `${SECRET}\n`)
    env.APP_SECRET = SECRET
    const none = await run(['apps', 'list'], { cwd, env })
    expect(none.out).toMatch(/^No application is known yet/)
    const first = await run(['apps', 'add', ID, '--name', 'Orders', '--secret-file', 'secret.txt'], {
      cwd,
      env,
    })
    expect(first).toEqual({ code: 0, out: `added: ${ID} (Orders), secret set\n`, err: '' })
    for (const place of ['-', 'env:APP_SECRET']) {
      const again = await run(['apps', 'add', ID, '--secret-file', place, '--json'], {
        cwd,
        env,
        input: SECRET,
      })
      expect(JSON.parse(again.out)).toEqual({ clientId: ID, name: 'Orders', secret: 'set', isNew: false })
    }
    const list = await run(['apps', 'list'], { cwd, env })
    expect(list.out).toMatch(
      /^CLIENT ID +NAME +SECRET +AGE\napp\.573ad8a0346747\.09223434 +Orders +set +\d+ s\n$/,
    )
    const json = await run(['apps', 'list', '--json'], { cwd, env })
    expect(JSON.parse(json.out).applications).toMatchObject([{ clientId: ID, name: 'Orders', secret: 'set' }])
  })

  it('refuses what is no id, and an application without a secret', async () => {
    const { cwd, env } = world()
    expect(await run(['apps', 'add', ID], { cwd, env })).toMatchObject({
      code: 2,
      err: expect.stringContaining('--secret-file'),
    })
    expect(
      await run(['apps', 'add', 'a b', '--secret-file', '-'], { cwd, env, input: SECRET }),
    ).toMatchObject({
      code: 2,
      err: expect.stringContaining('not the id'),
    })
    expect(await run(['apps', 'add', ID, '--secret-file', '-'], { cwd, env, input: '\n' })).toMatchObject({
      code: 2,
      err: expect.stringContaining('finds nothing in a line of stdin'),
    })
  })

  it('wants a key for a database on a server and in production', async () => {
    const { cwd, env } = world()
    const refused = await run(['apps', 'list'], { cwd, env: { ...env, BRIDGE_PRODUCTION: 'true' } })
    expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('BRIDGE_SECRET_KEY is not set') })
  })
})
