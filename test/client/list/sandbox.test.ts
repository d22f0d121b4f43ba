import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Client, createClient } from '../../../src/client/client.ts'
import { collectList, walkList } from '../../../src/client/list/pages.ts'
import type { JsonObject } from '../../../src/model/json.ts'
import { createSandbox, type Fault, type Sandbox } from '../../../src/sandbox/index.ts'

/** Walks over the sandbox through the real client: two readings of the portal's documentation that must agree. */
let sandbox: Sandbox
let client: Client

const DEALS = 100_000

beforeAll(async () => {
  sandbox = await createSandbox({ deals: DEALS, tasks: 430, users: 130, limits: 'off' })
  client = createClient({ webhook: sandbox.webhookUrl, limit: 'off' })
})
afterAll(async () => {
  await client.close()
  await sandbox.close()
})

const ids = (rows: readonly JsonObject[], id: string): string[] => rows.map((row) => String(row[id]))
const upTo = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index + 1))

describe('lists of the sandbox', () => {
  test.each([
    ['crm.contact.list', {}, 'ID', 100],
    ['crm.item.list', { entityTypeId: 3 }, 'id', 100],
    ['crm.company.list', {}, 'ID', 40],
    ['crm.item.list', { entityTypeId: 1 }, 'id', 60],
    ['crm.product.list', {}, 'ID', 30],
    ['tasks.task.list', {}, 'id', 430],
    ['user.get', {}, 'ID', 130],
  ])('%s comes whole by id, and the same by offset', async (method, params, id, count) => {
    const byId = await collectList(client, method, params)
    expect(byId).toMatchObject({ missing: [], status: 200 })
    expect(ids(byId.rows, id)).toEqual(upTo(count))
    const byOffset = await collectList(client, method, params, { mode: 'offset' })
    expect(ids(byOffset.rows, id).sort()).toEqual(upTo(count).sort())
    expect(byOffset.total).toBe(count)
  })

  test('elements of a universal list come by id, under the names that they use', async () => {
    const list = { IBLOCK_TYPE_ID: 'lists', IBLOCK_ID: 7 }
    const added = Array.from({ length: 130 }, (_, index) =>
      client.call('lists.element.add', {
        ...list,
        ELEMENT_CODE: `e${index}`,
        FIELDS: { NAME: `Element ${index}` },
      }),
    )
    const all = (await Promise.all(added)).map(String).sort((left, right) => Number(left) - Number(right))
    const { rows, missing, requests } = await collectList(client, 'lists.element.get', list)
    expect(ids(rows, 'ID')).toEqual(all)
    expect({ missing, requests }).toEqual({ missing: [], requests: 2 })
  })

  test('departments come by offset', async () => {
    const list = await collectList(client, 'department.get')
    expect(list).toMatchObject({ missing: [], status: 200 })
    expect(list.rows.length).toBeGreaterThan(0)
  })

  test('a refusal is handed out as it is', async () => {
    const list = await collectList(client, 'crm.deal.list', { filter: 'x' })
    expect(list).toMatchObject({ rows: [], status: 400, requests: 1 })
    expect(list.answer?.body).toHaveProperty('error_description', "Parameter 'filter' must be array.")
  })

  test.each<Fault['kind']>(['refuse', 'reset', 'reset-after', 'status', 'truncate'])(
    'a request that ends with %s in the middle costs no row',
    async (kind) => {
      sandbox.fault([{ kind, match: { method: 'tasks.task.list', nth: 4 } }])
      const list = await collectList(client, 'tasks.task.list')
      expect(list.missing).toEqual([])
      expect(ids(list.rows, 'id')).toEqual(upTo(430))
    },
  )

  test('100,000 rows take at least 95 % of 2,500 rows a request', async () => {
    let next = 1
    let requests = 0
    for await (const page of walkList(client, 'crm.deal.list', { select: ['ID', 'TITLE'] })) {
      for (const row of page.rows) expect(row.ID === String(next++)).toBe(true)
      requests = page.requests
    }
    expect(next - 1).toBe(DEALS)
    expect(DEALS / requests).toBeGreaterThanOrEqual(2375)
  })
})
