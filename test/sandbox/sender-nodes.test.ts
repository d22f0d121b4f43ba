import { describe, expect, it } from 'vitest'
import { openBound } from './application.ts'
import { open, send } from './ask.ts'

// https://apidocs.bitrix24.com/settings/cloud-and-on-premise/network-access.html
describe('the lists of addresses that events come from', () => {
  it('name this machine until told otherwise', async () => {
    const sandbox = await open()
    const nodes = async (name: string) => (await send(`${sandbox.url}/webhook/${name}.json`)).body
    expect([await nodes('app'), await nodes('app-world')]).toEqual([
      { nodes: ['127.0.0.1'] },
      { nodes: ['127.0.0.1'] },
    ])
    sandbox.setNodes({ app: ['127.0.0.1', '192.0.2.7'] })
    const world = { body: JSON.stringify({ world: ['198.51.100.1'] }) }
    expect((await send(`${sandbox.url}/__sandbox/nodes`, world)).body).toBe(true)
    expect([await nodes('app'), await nodes('app-world')]).toEqual([
      { nodes: ['127.0.0.1', '192.0.2.7'] },
      { nodes: ['198.51.100.1'] },
    ])
    expect((await send(`${sandbox.url}/webhook/other.json`)).status).toBe(404)
    const wrong = await send(`${sandbox.url}/__sandbox/nodes`, { body: '{"app":"127.0.0.1"}' })
    expect([wrong.status, wrong.body.error_description]).toEqual([400, 'nodes are lists of addresses'])
  })

  it('name a new address before the first request leaves from it, as on a day of rotation', async () => {
    const { sandbox, app } = await openBound(['ONCRMDEALADD'])
    const listed = async () => (await send(`${sandbox.url}/webhook/app.json`)).body.nodes
    sandbox.setNodes({ app: ['127.0.0.1', '127.0.0.8'] })
    await sandbox.changeData({ do: 'add', entity: 'deal' })
    expect(await listed()).toEqual(['127.0.0.1', '127.0.0.8'])
    sandbox.setNodes({ from: '127.0.0.8' })
    await sandbox.changeData({ do: 'add', entity: 'deal' })
    expect(app.received.map(({ source }) => source)).toEqual(['127.0.0.1', '127.0.0.8'])
  })

  it('can be played: requests leave from the address that is told', async () => {
    const { sandbox, app } = await openBound(['ONCRMDEALADD'])
    await sandbox.changeData({ do: 'add', entity: 'deal' })
    sandbox.setNodes({ from: '127.0.0.7' })
    await sandbox.changeData({ do: 'add', entity: 'deal' })
    expect(app.received.map(({ source }) => source)).toEqual(['127.0.0.1', '127.0.0.7'])
    expect(() => sandbox.setNodes({ from: 'x' })).toThrow('from is an address of this machine')
  })
})
