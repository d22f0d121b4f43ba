import { describe, expect, it } from 'vitest'
import type { Sandbox } from '../../src/sandbox/index.ts'
import { openApplication } from './application.ts'
import { send } from './ask.ts'
import { CLIENT_ID } from './oauth-client.ts'

const FORM_TYPE = { 'content-type': 'application/x-www-form-urlencoded' }

/** The forms of a page with what stands in them, as a person who changes nothing would send them. */
function formsOf(html: string): { action: string; fields: Record<string, string> }[] {
  return [...html.matchAll(/<form method="post" action="([^"]*)">(.*?)<\/form>/gs)].map(
    ([, action = '', inner = '']) => ({
      action,
      fields: Object.fromEntries(
        [...inner.matchAll(/name="([^"]*)" value="([^"]*)"/g)].map(([, name, value]) => [name, value]),
      ),
    }),
  )
}

const desk = (sandbox: Sandbox) => send(`${sandbox.url}/apps/desk?client_id=${CLIENT_ID}`)

const press = (sandbox: Sandbox, fields: Record<string, string>) =>
  send(`${sandbox.url}/apps/trigger`, {
    body: new URLSearchParams(fields).toString(),
    headers: FORM_TYPE,
  })

describe('the desk of an application', () => {
  it('has a button for each thing that was registered, which calls its handler', async () => {
    const { sandbox, app, call } = await openApplication()
    expect((await desk(sandbox)).text).toContain('It has registered nothing yet.')
    await call('bizproc.robot.add', { CODE: 'ship', NAME: 'Ship', HANDLER: `${app.url}robot` })
    const sender = { CODE: 'pigeon', TYPE: 'SMS', NAME: 'P', HANDLER: `${app.url}sms` }
    await call('messageservice.sender.add', sender)
    const bot = { CODE: 'helper', EVENT_HANDLER: `${app.url}bot`, PROPERTIES: { NAME: 'Helper' } }
    await call('imbot.register', bot)
    await call('placement.bind', { PLACEMENT: 'LEFT_MENU', HANDLER: `${app.url}menu` })
    const { text } = await desk(sandbox)
    expect(text).toContain('<button>LEFT_MENU: ')
    const forms = formsOf(text)
    expect(forms.map(({ fields }) => fields.do)).toEqual(['robot', 'sms', 'say'])
    for (const { action, fields } of forms) {
      expect(action).toBe('/apps/trigger')
      expect((await press(sandbox, fields)).text).toMatch(/<pre id="outcome">\w+: 200<\/pre>/)
    }
    expect(app.received.map(({ url }) => url.pathname)).toEqual(['/robot', '/sms', '/bot'])
    expect(app.received[0]?.form.timeout_duration).toBe('60')
  })

  it('says why something is not possible', async () => {
    const { sandbox } = await openApplication()
    const { status, text } = await press(sandbox, { do: 'robot', clientId: CLIENT_ID, code: '<x>' })
    expect([status, text]).toEqual([400, expect.stringContaining('has no robot &#60;x&#62;')])
    expect((await send(`${sandbox.url}/apps/desk?client_id=nobody`)).status).toBe(404)
  })
})
