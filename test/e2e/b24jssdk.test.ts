import { Agent } from 'node:https'
import { ApiVersion, B24Hook } from '@bitrix24/b24jssdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSandbox, type Sandbox } from '../../src/sandbox/index.ts'

const DEALS = 170

/** The official SDK, which takes https only, talks to the sandbox; each finds in the other what it expects. */
describe('the official JavaScript SDK', () => {
  let sandbox: Sandbox
  let b24: B24Hook

  beforeAll(async () => {
    sandbox = await createSandbox({ tls: true, deals: DEALS, tasks: 60 })
    b24 = B24Hook.fromWebhookUrl(sandbox.webhookUrl)
    const { defaults } = b24.getHttpClient(ApiVersion.v2).ajaxClient
    defaults.httpsAgent = new Agent({ ca: sandbox.certificate ?? '', keepAlive: true })
  })

  afterAll(async () => {
    b24.destroy()
    await sandbox.close()
  })

  it('calls a method', async () => {
    const response = await b24.actions.v2.call.make<{ ID: string }>({
      method: 'crm.deal.get',
      params: { id: 7 },
    })
    expect(response.isSuccess).toBe(true)
    expect(response.getData()?.result.ID).toBe('7')
  })

  it('reads the error of a method', async () => {
    const call = b24.actions.v2.call.make({ method: 'crm.item.get', params: { entityTypeId: 2, id: 9999 } })
    const messages = await call.then(
      (response) => response.getErrorMessages(),
      (error: Error) => [error.message],
    )
    expect(messages.join()).toContain('Item not found')
  })

  it('sends a batch with a reference', async () => {
    const response = await b24.actions.v2.batch.make({
      calls: {
        me: { method: 'user.current' },
        own: { method: 'department.get', params: { ID: '$result[me][UF_DEPARTMENT][0]' } },
      },
      options: { isHaltOnError: true },
    })
    expect(response.getErrorMessages()).toEqual([])
    // biome-ignore lint/suspicious/noExplicitAny: the SDK types a named batch as unknown answers
    const answers = response.getData() as any
    expect(answers.me.ID).toBe('1')
    expect(answers.own).toMatchObject([{ ID: '1', NAME: 'Head office' }])
  })

  it('fetches a list by id, all rows once', async () => {
    const seen: number[] = []
    const chunks = b24.actions.v2.fetchList.make<{ id: number }>({
      method: 'crm.item.list',
      params: { entityTypeId: 2, select: ['id', 'title'] },
      idKey: 'id',
      customKeyForResult: 'items',
    })
    for await (const chunk of chunks) seen.push(...chunk.map((item) => item.id))
    expect(seen).toEqual(Array.from({ length: DEALS }, (_, i) => i + 1))
  })

  it('fetches classic and task lists as a whole', async () => {
    const deals = await b24.actions.v2.callList.make<{ ID: string }>({
      method: 'crm.deal.list',
      params: { select: ['ID'] },
    })
    expect(new Set(deals.getData()?.map((deal) => deal.ID)).size).toBe(DEALS)
    const tasks = await b24.actions.v2.callList.make<{ id: string }>({
      method: 'tasks.task.list',
      idKey: 'id',
      cursorIdKey: 'ID',
      customKeyForResult: 'tasks',
    })
    expect(tasks.getData()?.length).toBe(60)
  })
})
