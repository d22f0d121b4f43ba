import { describe, expect, it } from 'vitest'
import { ask, open } from './ask.ts'
import { callWith } from './oauth-client.ts'
import { commandsIn, listen, messagesIn, openPush, say } from './push-client.ts'

const bind = { event: 'ONCRMDEALUPDATE', event_type: 'offline' }
const change = (id: number) => ({ id, fields: { TITLE: `Changed ${id}` } })

// https://apidocs.bitrix24.com/api-reference/events/offline-events.html
describe('offline events', () => {
  it('are told on the shared channel of their application, once a request and equal ones counted once', async () => {
    const { sandbox, config } = await openPush({ switches: { pushBufferMs: 0 } })
    const call = (method: string, params: object) => callWith(sandbox, sandbox.accessToken, method, params)
    await call('event.bind', bind)
    await call('event.bind', { ...bind, auth_connector: 'stock' })
    const { id } = config.channels.shared
    const listener = await listen(`${config.server.websocket}?CHANNEL_ID=${id}`)
    await ask(sandbox, 'crm.deal.update', change(7))
    const [{ text }] = messagesIn(await listener.next())
    expect(text).toMatchObject({ module_id: 'rest', command: 'event_offline' })
    expect(text.params).toEqual([
      { connector_id: '', count: 1 },
      { connector_id: 'stock', count: 1 },
    ])
    const cmd = [7, 7, 8].map((deal, index) => `crm.deal.update?id=${deal}&fields[TITLE]=again%20${index}`)
    await ask(sandbox, 'batch', { cmd })
    const [batch] = messagesIn(await listener.next())
    expect(batch.text.params).toEqual([
      { connector_id: '', count: 2 },
      { connector_id: 'stock', count: 2 },
    ])
    await ask(sandbox, 'crm.contact.update', { id: 1, fields: { NAME: 'Nobody' } })
    say(sandbox, 'end')
    expect(commandsIn(await listener.next())).toEqual(['end'])
  })

  it('wait in the queue where there is no push server', async () => {
    const sandbox = await open({ switches: { pushServer: 'none' } })
    await callWith(sandbox, sandbox.accessToken, 'event.bind', bind)
    expect((await ask(sandbox, 'crm.deal.update', change(7))).body.result).toBe(true)
  })
})
