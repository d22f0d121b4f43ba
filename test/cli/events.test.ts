import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createSandbox, type Sandbox } from '../../src/sandbox/index.ts'
import { emptyFolder, run } from './support/command-line.ts'

const APP = {
  clientId: 'local.chairs',
  clientSecret: 'marked-client-secret-2',
  scopes: ['crm', 'task', 'messageservice', 'bizproc', 'placement', 'imbot'],
}
const BASE = 'https://bridge.example'

const FILE = `
portals: '*'
events:
  - ONCRMDEALADD
  - { name: ONCRMDEALUPDATE, user: 1 }
offline:
  - ONCRMCONTACTUPDATE
  - { name: ONCRMCOMPANYUPDATE, connector: erp }
senders:
  - { code: chairs-sms, name: Chairs, description: Text messages by Chairs }
robots:
  - code: check_stock
    name: { en: Check the stock, de: Lager prüfen }
    useSubscription: true
    properties: { sku: { Name: Article, Type: string } }
    returnProperties: { left: { Name: Left, Type: int } }
activities:
  - { code: book_stock, name: Book }
placements:
  - { placement: CRM_DEAL_DETAIL_TAB, page: deal-tab, title: Chairs, languages: { de: { title: Stühle } } }
  - { placement: PAGE_BACKGROUND_WORKER, page: worker }
userFieldTypes:
  - { id: chair_colour, page: colour, title: Colour }
bots:
  - { code: helper, name: Helper }
`

let sandbox: Sandbox
let cwd: string
let env: Record<string, string>

beforeEach(async () => {
  sandbox = await createSandbox({ host: '0.0.0.0', limits: 'off', applications: [APP], oauthPort: 0 })
  cwd = emptyFolder()
  env = {
    BRIDGE_STORE: `sqlite:${join(cwd, 'bridge.db')}`,
    BRIDGE_LIMITS: 'off',
    BRIDGE_OAUTH_SERVERS: sandbox.oauthUrl,
    BRIDGE_PUBLIC_URL: BASE,
    SECRET: APP.clientSecret,
  }
  await cli(`apps add ${APP.clientId} --secret-file env:SECRET`)
})

afterEach(() => sandbox.close())

function cli(line: string, input = '') {
  return run(line.split(' '), { env, cwd, input })
}

function write(text: string, name = 'subscriptions.yaml'): void {
  writeFileSync(join(cwd, name), text)
}

/** Where the portal of a host is called: hosts of 127.0.0.0/8 are portals of their own. */
function portalAt(host: string): string {
  return new URL(sandbox.url).host.replace('127.0.0.1', host)
}

/** Puts the application on a portal and its tokens into the store; gives an access token. */
async function connect(host = '127.0.0.1'): Promise<string> {
  const portal = portalAt(host)
  await sandbox.app({ do: 'install', clientId: APP.clientId }, portal)
  const { token } = await sandbox.app({ do: 'token', clientId: APP.clientId }, portal)
  const { memberId, domain, clientEndpoint } = sandbox.identity(portal)
  const words = `portals add --domain ${domain} --endpoint ${clientEndpoint} --member-id ${memberId}`
  const secrets = `--client-id ${APP.clientId} --access-token-file - --refresh-token-file -`
  const added = await cli(`${words} ${secrets}`, `${token!.access_token}\n${token!.refresh_token}\n`)
  expect(added).toMatchObject({ code: 0, err: '' })
  return token!.access_token
}

async function ask(method: string, token: string, params: object = {}, host = '127.0.0.1') {
  const response = await fetch(`http://${portalAt(host)}/rest/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ auth: token, ...params }),
  })
  return (await response.json()) as { result: never; error?: string }
}

interface Reported {
  readonly domain: string
  readonly actions: readonly { readonly act: string; readonly kind: string; readonly label: string }[]
}

/** The acts on each portal of an apply that is asked for JSON. */
async function apply(more = ''): Promise<{ code: number; err: string; portals: Reported[] }> {
  const { code, out, err } = await cli(`events apply subscriptions.yaml --json${more}`)
  return { code, err, portals: out === '' ? [] : JSON.parse(out).portals }
}

describe('events apply', () => {
  it('binds what is missing, and finds nothing to do the second time', async () => {
    const token = await connect()
    write(FILE)
    const first = await cli('events apply subscriptions.yaml')
    expect(first).toMatchObject({ code: 0, err: '' })
    expect(first.out).toContain('11 to do, 0 as they should be')
    const { result } = await ask('event.get', token)
    const key = handlerKeyOf((await cli(`events url ${sandbox.identity().domain}`)).out)
    const handler = `${BASE}/b24/events?portal=${sandbox.identity().memberId}&key=${key}`
    expect(result).toEqual([
      { event: 'ONCRMDEALADD', handler, auth_type: '0', offline: 0 },
      { event: 'ONCRMDEALUPDATE', handler, auth_type: '1', offline: 0 },
      { event: 'ONCRMCONTACTUPDATE', connector_id: '', offline: 1 },
      { event: 'ONCRMCOMPANYUPDATE', connector_id: 'erp', offline: 1 },
    ])
    expect((await ask('messageservice.sender.list', token)).result).toEqual(['chairs-sms'])
    expect((await ask('bizproc.robot.list', token)).result).toEqual(['check_stock'])
    expect((await ask('bizproc.activity.list', token)).result).toEqual(['book_stock'])
    expect((await ask('placement.get', token)).result).toMatchObject([
      { placement: 'CRM_DEAL_DETAIL_TAB', handler: `${BASE}/b24/placements/deal-tab`, userId: 0 },
      { placement: 'PAGE_BACKGROUND_WORKER', options: { errorHandlerUrl: handler } },
    ])
    expect((await ask('userfieldtype.list', token)).result).toMatchObject([
      { USER_TYPE_ID: 'chair_colour', HANDLER: `${BASE}/b24/placements/colour` },
    ])
    const again = await cli('events apply subscriptions.yaml')
    expect(again).toMatchObject({ code: 0, err: '' })
    expect(again.out).toBe(`${sandbox.identity().domain}: nothing to do, 11 as they should be\n`)
    expect(`${first.out}${again.out}`).not.toContain(key)
  })

  it('says what it would do with --dry-run, and does nothing', async () => {
    const token = await connect()
    write(FILE)
    const { code, out } = await cli('events apply subscriptions.yaml --dry-run')
    expect(code).toBe(0)
    expect(out).toMatch(/to bind +robot +check_stock/)
    expect((await ask('event.get', token)).result).toEqual([])
    expect((await ask('bizproc.robot.list', token)).result).toEqual([])
    const [portal] = (await apply()).portals
    expect(portal).toMatchObject({ state: 'changed', actions: expect.any(Array) })
  })

  it('removes what the file has no more, changes what it has otherwise, and never touches what others bound', async () => {
    const token = await connect()
    const foreign = { event: 'ONCRMDEALADD', handler: 'https://elsewhere.example/b24/events' }
    const byHand = { event: 'ONAPPUNINSTALL', handler: `${BASE}/b24/app-events` }
    for (const one of [foreign, byHand]) await ask('event.bind', token, one)
    await ask('bizproc.robot.add', token, {
      CODE: 'by_hand',
      NAME: 'By hand',
      HANDLER: 'https://elsewhere.example/robot',
    })
    write(FILE)
    await apply()
    write(
      FILE.replace('  - ONCRMDEALADD\n', '')
        .replace('  - { code: book_stock, name: Book }', '  []')
        .replace('Check the stock', 'Look into the stock')
        .replace('page: worker', 'page: new-worker')
        .replace('title: Colour', 'title: Paint'),
    )
    const changed = await apply()
    expect(changed).toMatchObject({ code: 0, err: '' })
    const acts = changed.portals[0]?.actions ?? []
    expect(acts.filter(({ act }) => act !== 'keep')).toEqual([
      expect.objectContaining({ act: 'foreign', kind: 'event', label: 'ONCRMDEALADD' }),
      expect.objectContaining({ act: 'foreign', kind: 'event', label: 'ONAPPUNINSTALL' }),
      expect.objectContaining({ act: 'unbind', kind: 'event', label: 'ONCRMDEALADD', outcome: 'done' }),
      expect.objectContaining({ act: 'foreign', kind: 'robot', label: 'by_hand' }),
      expect.objectContaining({ act: 'unbind', kind: 'activity', label: 'book_stock', outcome: 'done' }),
      expect.objectContaining({ act: 'unbind', kind: 'placement', label: 'PAGE_BACKGROUND_WORKER' }),
      expect.objectContaining({ act: 'change', kind: 'robot', label: 'check_stock', outcome: 'done' }),
      expect.objectContaining({ act: 'bind', label: 'PAGE_BACKGROUND_WORKER', outcome: 'done' }),
      expect.objectContaining({ act: 'change', kind: 'userfieldtype', outcome: 'done' }),
    ])
    const { result } = await ask('event.get', token)
    expect(result).toMatchObject([
      foreign,
      byHand,
      { event: 'ONCRMDEALUPDATE' },
      { event: 'ONCRMCONTACTUPDATE' },
      { event: 'ONCRMCOMPANYUPDATE' },
    ])
    expect((await ask('bizproc.robot.list', token)).result).toEqual(['by_hand', 'check_stock'])
    write("portals: '*'\n")
    await apply()
    expect((await ask('event.get', token)).result).toMatchObject([foreign, byHand])
    expect((await ask('bizproc.robot.list', token)).result).toEqual(['by_hand'])
    expect((await ask('messageservice.sender.list', token)).result).toEqual([])
  })

  it('gives handlers the new address when the public one has changed, and takes the old ones away', async () => {
    const token = await connect()
    write(FILE)
    await apply()
    env.BRIDGE_PUBLIC_URL = 'https://new.example'
    expect(await apply()).toMatchObject({ code: 0 })
    const rows = (await ask('event.get', token)).result as { handler?: string }[]
    expect(rows.map(({ handler }) => handler?.slice(0, 20))).toEqual([
      undefined,
      undefined,
      'https://new.example/',
      'https://new.example/',
    ])
    expect((await apply()).portals).toMatchObject([{ state: 'unchanged' }])
  })

  it('binds again what has vanished with an update of the application', async () => {
    const token = await connect()
    write(FILE)
    await apply()
    await sandbox.app({ do: 'update', clientId: APP.clientId })
    expect((await ask('event.get', token)).result).toEqual([])
    expect(await apply()).toMatchObject({ code: 0 })
    expect((await ask('event.get', token)).result).toHaveLength(4)
    expect((await apply()).portals).toMatchObject([{ state: 'unchanged' }])
  })

  it('goes on with the others when one portal fails, and says so with its exit code', async () => {
    const token = await connect('127.0.0.1')
    const other = await connect('127.0.0.2')
    const third = await connect('127.0.0.3')
    sandbox.change({ stopped: true }, portalAt('127.0.0.2'))
    write(`portals: [${['1', '2', '3', '4'].map((n) => portalAt(`127.0.0.${n}`)).join(', ')}]
events: [ONCRMDEALADD]
`)
    const { code, portals } = await apply()
    expect(code).toBe(3)
    expect([...portals].sort((a, b) => (a.domain < b.domain ? -1 : 1))).toMatchObject([
      { domain: portalAt('127.0.0.1'), state: 'changed' },
      { domain: portalAt('127.0.0.2'), state: 'failed' },
      { domain: portalAt('127.0.0.3'), state: 'changed' },
      { domain: portalAt('127.0.0.4'), state: 'failed', error: { code: 'PORTAL_UNKNOWN' } },
    ])
    expect((await ask('event.get', token)).result).toHaveLength(1)
    expect((await ask('event.get', third, {}, '127.0.0.3')).result).toHaveLength(1)
    sandbox.change({ stopped: false }, portalAt('127.0.0.2'))
    expect((await apply()).code).toBe(2)
    expect((await ask('event.get', other, {}, '127.0.0.2')).result).toHaveLength(1)
  }, 20_000)

  it('does the rest when the portal refuses one of them, and names it with the reason', async () => {
    const token = await connect()
    write("portals: '*'\nevents: [ONCRMDEALADD, ONNOSUCHEVENT]\n")
    const { code, out } = await cli('events apply subscriptions.yaml')
    expect(code).toBe(3)
    expect(out).toContain('FAILED  event  ONNOSUCHEVENT')
    expect(out).toContain('ONNOSUCHEVENT: ERROR_EVENT_NOT_FOUND: Event not found')
    expect((await ask('event.get', token)).result).toHaveLength(1)
  })

  it('mends the next time what nobody knows after a lost answer', async () => {
    const token = await connect()
    write(FILE)
    sandbox.fault([{ match: { method: 'bizproc.robot.add' }, kind: 'reset-after' }])
    const lost = await apply()
    expect(lost.code).toBe(5)
    expect((await ask('bizproc.robot.list', token)).result).toEqual(['check_stock'])
    expect((await apply()).code).toBe(0)
    expect((await apply()).portals).toMatchObject([{ state: 'unchanged' }])
    expect((await ask('bizproc.robot.list', token)).result).toEqual(['check_stock'])
    expect((await ask('event.get', token)).result).toHaveLength(4)
  })

  it('changes nothing for a user who is no administrator', async () => {
    await sandbox.app({ do: 'install', clientId: APP.clientId })
    const { token } = await sandbox.app({ do: 'token', clientId: APP.clientId, userId: 2 })
    const { memberId, domain, clientEndpoint } = sandbox.identity()
    await cli(
      `portals add --domain ${domain} --endpoint ${clientEndpoint} --member-id ${memberId} --client-id ${APP.clientId} --access-token-file - --refresh-token-file -`,
      `${token!.access_token}\n${token!.refresh_token}\n`,
    )
    write(FILE)
    expect(await apply()).toMatchObject({
      code: 2,
      portals: [{ state: 'failed', error: { code: 'NOT_ADMIN' }, actions: [] }],
    })
  })

  it('names every fault of the file with its line, before anything is called', async () => {
    await connect()
    const before = sandbox.stats().requests
    write("portals: '*'\nevents:\n  - ONCRMDEALADD\n  - name: 7\nrobots:\n  - name: x\nevent: []\n")
    const { code, err } = await cli('events apply subscriptions.yaml')
    expect(code).toBe(2)
    expect(err).toContain('subscriptions.yaml:4: events[1].name ')
    expect(err).toContain('subscriptions.yaml:6: robots[0].code is missing.')
    expect(err).toContain('subscriptions.yaml:7: event is not known here.')
    expect(sandbox.stats().requests).toBe(before)
    write('events: [')
    expect((await cli('events apply subscriptions.yaml')).err).toContain('subscriptions.yaml:1: ')
    expect((await cli('events apply nowhere.yaml')).err).toContain('nowhere.yaml does not exist')
    delete env.BRIDGE_PUBLIC_URL
    write(FILE)
    expect((await cli('events apply subscriptions.yaml')).err).toContain('BRIDGE_PUBLIC_URL is not set')
  })
})

describe('events list and check', () => {
  it('tell ours from what others bound, without the key of the handler', async () => {
    const token = await connect()
    await ask('event.bind', token, { event: 'ONCRMDEALADD', handler: 'https://elsewhere.example/x?secret=1' })
    write(FILE)
    await apply()
    const { code, out } = await cli('events list')
    expect(code).toBe(0)
    expect(out).toMatch(/event +ONCRMDEALADD +foreign +https:\/\/elsewhere\.example\/x\?…/)
    expect(out).toMatch(/event +ONCRMDEALADD +ours +https:\/\/bridge\.example\/b24\/events\?…/)
    expect(out).toMatch(/robot +check_stock +ours/)
    expect(out).not.toContain('key=')
    const json = JSON.parse((await cli('events list --json')).out)
    expect(json.portals[0].bound).toHaveLength(12)
  })

  it('say that the handler cannot be reached, and what differs from what was applied', async () => {
    const token = await connect()
    env.BRIDGE_PUBLIC_URL = sandbox.url
    write(FILE)
    expect((await cli('events check')).out).toContain('nothing was applied yet')
    await apply()
    const good = await cli('events check --json')
    const found = JSON.parse(good.out)
    // The sandbox answers there, but it is no bridge.
    expect(found.here).toMatchObject([{ check: 'address', state: 'fail' }])
    expect(found.portals[0].findings).toMatchObject([
      { check: 'plan', state: 'ok' },
      { check: 'bound', state: 'ok' },
    ])
    await ask('bizproc.robot.delete', token, { CODE: 'check_stock' })
    const { out, code } = await cli('events check')
    expect(code).not.toBe(0)
    expect(out).toContain('differs from what was applied: bind robot check_stock')
  })

  it('print the address of a handler to whoever asks for it', async () => {
    await connect()
    const { memberId, domain } = sandbox.identity()
    const { out } = await cli(`events url ${domain}`)
    expect(out).toMatch(
      new RegExp(`^https://bridge.example/b24/events\\?portal=${memberId}&key=[\\da-f]{32}\n$`),
    )
    expect((await cli('events url nobody')).err).toContain('No portal is known as "nobody"')
  })
})

function handlerKeyOf(url: string): string {
  return new URL(url.trim()).searchParams.get('key') ?? ''
}
