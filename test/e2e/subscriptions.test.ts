import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { createSandbox, type Sandbox } from '../../src/sandbox/index.ts'
import { openStore } from '../../src/stores/open.ts'
import { saveApplication } from '../../src/stores/queries/applications.ts'
import { unlockStore } from '../../src/stores/unlock.ts'
import { run } from '../cli/support/command-line.ts'
import { type Bench, openBench } from '../support/bridge.ts'

const APPLICATION = {
  clientId: 'local.chairs',
  clientSecret: 'marked-secret-of-chairs',
  scopes: ['crm', 'bizproc'],
}
const FILE = `
portals: '*'
events: [ONCRMDEALADD, ONAPPUPDATE, ONAPPUNINSTALL]
robots: [{ code: check_stock, name: Check }]
`

interface Desk {
  readonly portal: Sandbox
  readonly bench: Bench
  readonly env: Record<string, string>
  /** What the portal lists for the application. */
  bound(): Promise<string[]>
}

/** A bridge that is running and an application that calls it. */
async function openDesk(file?: string): Promise<Desk> {
  const portal = await createSandbox({ limits: 'off', oauthPort: 0 })
  const bench = await openBench({ broker: 'embedded', started: false })
  onTestFinished(async () => {
    await bench[Symbol.asyncDispose]()
    await portal.close()
  })
  const key = `k1:${Buffer.alloc(32, 1).toString('base64')}`
  const address = bench.env.BRIDGE_STORE ?? ''
  const store = await openStore(address, { now: Date.now })
  const secrets = await unlockStore(store, { address, given: key, production: false, now: Date.now })
  await saveApplication(store.db, secrets, { ...APPLICATION, name: 'Chairs' }, Date.now())
  await store.close()
  const env = bench.env as Record<string, string>
  Object.assign(env, {
    BRIDGE_OAUTH_SERVERS: portal.oauthUrl,
    BRIDGE_SECRET_KEY: key,
    BRIDGE_PUBLIC_URL: 'https://bridge.example',
  })
  if (file !== undefined) {
    env.BRIDGE_SUBSCRIPTIONS = join(bench.folder, 'subscriptions.yaml')
    writeFileSync(env.BRIDGE_SUBSCRIPTIONS, file)
  }
  await bench.start()
  portal.addApplication({ ...APPLICATION, eventUrl: `${bench.service.url}/b24/app-events` })
  return {
    portal,
    bench,
    env,
    async bound() {
      const { token } = await portal.app({ do: 'token', clientId: APPLICATION.clientId })
      const ask = async (method: string): Promise<never[]> => {
        const answer = await fetch(`${portal.url}/rest/${method}?auth=${token?.access_token}`)
        return ((await answer.json()) as { result: never[] }).result
      }
      const events = (await ask('event.get')) as { event: string; handler: string }[]
      return [
        ...events.map(({ event, handler }) => `${event} ${handler.split('?')[0]}`),
        ...((await ask('bizproc.robot.list')) as string[]),
      ].sort()
    },
  }
}

const HANDLER = 'https://bridge.example/b24/events'
const ALL = [`ONAPPUNINSTALL ${HANDLER}`, `ONAPPUPDATE ${HANDLER}`, `ONCRMDEALADD ${HANDLER}`, 'check_stock']

it('what the file of the settings says is bound as soon as the application is installed, and again after an update and a new installation', async () => {
  const { portal, bench, bound } = await openDesk(FILE)
  const { clientId } = APPLICATION
  await portal.app({ do: 'install', clientId })
  await expect.poll(bound, { timeout: 10_000 }).toEqual(ALL)
  await portal.app({ do: 'update', clientId })
  await expect.poll(bound, { timeout: 10_000 }).toEqual(ALL)
  await portal.app({ do: 'uninstall', clientId })
  await portal.app({ do: 'install', clientId })
  await expect.poll(bound, { timeout: 10_000 }).toEqual(ALL)
  expect(bench.logged('subscriptions.failed')).toEqual([])
  expect(bench.logged('subscriptions.applied')[0]).toMatchObject({ bound: 4, changed: 0, unbound: 0 })
  expect(bench.logs()).not.toMatch(/key=|marked-secret/)
}, 40_000)

it('what was applied last from the command line is bound again too, on portals that came later as well', async () => {
  const { portal, bench, env, bound } = await openDesk()
  const { clientId } = APPLICATION
  writeFileSync(join(bench.folder, 'mine.yaml'), FILE)
  const applied = await run(['events', 'apply', 'mine.yaml'], { env, cwd: bench.folder })
  expect(applied).toMatchObject({ code: 0, out: 'No portal is meant: the application is on none yet.\n' })
  await portal.app({ do: 'install', clientId })
  await expect.poll(bound, { timeout: 10_000 }).toEqual(ALL)
  writeFileSync(join(bench.folder, 'mine.yaml'), "portals: '*'\nevents: [ONCRMDEALADD]\n")
  expect(await run(['events', 'apply', 'mine.yaml'], { env, cwd: bench.folder })).toMatchObject({ code: 0 })
  expect(await bound()).toEqual([`ONCRMDEALADD ${HANDLER}`])
  await portal.app({ do: 'uninstall', clientId })
  await portal.app({ do: 'install', clientId })
  await expect.poll(bound, { timeout: 10_000 }).toEqual([`ONCRMDEALADD ${HANDLER}`])
}, 40_000)

it('a file that was changed is applied at the next start to the portals there are', async () => {
  const { portal, bench, env, bound } = await openDesk(FILE)
  await portal.app({ do: 'install', clientId: APPLICATION.clientId })
  await expect.poll(bound, { timeout: 10_000 }).toEqual(ALL)
  await bench.service.stop()
  writeFileSync(env.BRIDGE_SUBSCRIPTIONS ?? '', "portals: '*'\nevents: [ONCRMDEALUPDATE]\n")
  await bench.start()
  await expect.poll(bound, { timeout: 10_000 }).toEqual([`ONCRMDEALUPDATE ${HANDLER}`])
}, 40_000)

it('a file with a fault ends the start with the line, before anything is opened', async () => {
  await expect(openDesk("portals: '*'\nevents:\n  - 7\n")).rejects.toThrow(
    /subscriptions\.yaml:3: events\[0\] must be/,
  )
})
