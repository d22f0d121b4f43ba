import { setTimeout as sleep } from 'node:timers/promises'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import type { Sandbox } from '../../src/sandbox/index.ts'
import { open, send } from './ask.ts'
import { CLIENT_ID } from './oauth-client.ts'

interface Message {
  readonly data: string
  readonly origin: string
  readonly source: unknown
}

/** A window as far as messages go; a real browser drives the pages in a test of its own. */
function windowOf(origin: string) {
  const listeners: ((message: Message) => void)[] = []
  return {
    origin,
    name: '',
    fetch: (url: string, init: RequestInit) => fetch(new URL(url, origin), init),
    addEventListener: (_: string, listener: (message: Message) => void) => listeners.push(listener),
    receive: (message: Message) => {
      for (const listener of listeners) listener(message)
    },
  }
}

/** Runs the portal's page and, inside its frame, a page with the stand-in for BX24; gives that and the portal's page. */
async function openFrame(sandbox: Sandbox) {
  const { text } = await send(`${sandbox.url}/apps/install?client_id=${CLIENT_ID}`)
  const [, name = ''] = /<iframe name="([^"]*)"/.exec(text) ?? []
  const portal = windowOf(sandbox.url)
  const frame = { ...windowOf('https://app.example'), name }
  const state = { textContent: '' }
  const location = { href: '' }
  const form = { dataset: { sid: name.split('|')[2], clientId: CLIENT_ID }, submit: () => undefined }
  const contentWindow = {
    postMessage: (data: string) => frame.receive({ data, origin: portal.origin, source: portal }),
  }
  const document = {
    getElementById: (id: string) => (id === 'open' ? form : state),
    querySelector: () => ({ contentWindow }),
  }
  const script = /<script>(.*)<\/script>/s.exec(text)?.[1] ?? ''
  runInNewContext(script, { window: portal, document, location })
  const parent = {
    postMessage: (data: string, origin: string) => {
      if (origin === portal.origin) portal.receive({ data, origin: frame.origin, source: contentWindow })
    },
  }
  const bx24 = (await send(`${sandbox.url}/__sandbox/bx24.js`)).text
  const window: Record<string, unknown> = { ...frame, parent }
  const timer = (run: () => void, ms: number) => setTimeout(run, ms).unref()
  runInNewContext(bx24, { window, location: { search: '' }, URLSearchParams, Map, setTimeout: timer })
  // biome-ignore lint/suspicious/noExplicitAny: the library of the page has no types
  return { BX24: window.BX24 as any, state, location }
}

// https://apidocs.bitrix24.com/sdk/bx24-js-sdk/index.html
describe('BX24 in a frame', () => {
  it('calls methods, finishes the installation once, and knows its place', async () => {
    const sandbox = await open({
      applications: [{ clientId: CLIENT_ID, installUrl: 'https://app.example/install' }],
    })
    const { BX24, state, location } = await openFrame(sandbox)
    await new Promise<void>((resolve) => BX24.init(resolve))
    expect(BX24.placement.info()).toEqual({ placement: 'DEFAULT', options: [] })
    const answers: unknown[] = []
    BX24.placement.getInterface((all: unknown) => answers.push(all))
    BX24.placement.call('reloadData', {}, (answer: unknown) => answers.push(answer))
    await expect.poll(() => answers).toEqual([{ command: [], event: [] }, {}])
    expect(BX24.getAuth()).toMatchObject({ member_id: sandbox.identity().memberId, expires_in: 3600 })
    const call = (method: string, params: object) =>
      // biome-ignore lint/suspicious/noExplicitAny: results of any shape
      new Promise<any>((resolve) => BX24.callMethod(method, params, resolve))
    expect((await call('app.info', {})).data().INSTALLED).toBe(false)
    const list = await call('crm.deal.list', { filter: { '<ID': 3 }, select: ['ID'] })
    expect([list.data(), list.total(), list.more()]).toEqual([[{ ID: '1' }, { ID: '2' }], 2, false])
    expect((await call('crm.deal.get', { id: 9999 })).error()).toBe('')
    BX24.installFinish()
    await expect.poll(() => location.href).toBe(`/apps/open?client_id=${CLIENT_ID}`)
    expect(state.textContent).toBe('The application is installed.')
    expect((await call('app.info', {})).data().INSTALLED).toBe(true)
  })

  it('packs calls into a batch, and renews its token when that has run out', async () => {
    const sandbox = await open({
      applications: [{ clientId: CLIENT_ID, installUrl: 'https://app.example/install' }],
    })
    const { BX24 } = await openFrame(sandbox)
    await new Promise<void>((resolve) => BX24.init(resolve))
    const before = BX24.getAuth().access_token
    sandbox.advance(3_600_000)
    const calls = { me: ['profile', {}], lost: { method: 'crm.deal.get', params: { id: 9999 } } }
    // biome-ignore lint/suspicious/noExplicitAny: results of any shape
    const results = await new Promise<any>((resolve) => BX24.callBatch(calls, resolve))
    expect(results.me.data().ID).toBe('1')
    expect(results.lost.error_description()).toBe('Not found')
    expect(BX24.getAuth().access_token).not.toBe(before)
    await sleep(0)
    expect(sandbox.stats().refused).toEqual({ expired_token: 1 })
  })
})
