import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { collectList, rows, walkList } from '../../../src/client/list/pages.ts'
import type { JsonObject } from '../../../src/model/json.ts'
import { deals, startPortal, type TestPortal } from './portal.ts'

let portal: TestPortal

// A portal of its own for each test: a walk that ends early may leave a request behind, which must not count elsewhere.
beforeEach(async () => {
  portal = await startPortal({})
})
afterEach(() => portal[Symbol.asyncDispose]())

const ids = (list: readonly JsonObject[], id = 'ID'): string[] => list.map((row) => String(row[id]))

describe('a walk by id', () => {
  test.each([
    [0, 1],
    [1, 1],
    [49, 1],
    [50, 2],
    [51, 2],
    [449, 2],
    [450, 3],
    [2949, 3],
    [2950, 4],
  ])('%i rows come whole with %i requests', async (count, requests) => {
    portal.lists['crm.deal.list'] = { rows: deals(count, 3), id: 'ID' }
    const list = await collectList(portal.caller, 'crm.deal.list')
    expect(ids(list.rows)).toEqual(ids(deals(count, 3)))
    expect(list).toMatchObject({ missing: [], status: 200, requests, total: null })
    expect(portal.requests).toHaveLength(requests)
  })

  test('gives the total when asked to count, and then asks for no page too many', async () => {
    portal.lists['crm.deal.list'] = { rows: deals(120), id: 'ID' }
    const list = await collectList(portal.caller, 'crm.deal.list', {}, { withTotal: true })
    expect(list).toMatchObject({ total: 120, requests: 2 })
    expect(portal.requests.map(({ pages }) => pages)).toEqual([1, 2])
  })

  test.each([
    ['crm.item.list', { wrapper: 'items', id: 'id' }],
    ['tasks.task.list', { wrapper: 'tasks', id: 'id', requestId: 'ID' }],
    ['sale.paymentItemBasket.list', { wrapper: 'paymentItemsBasket', id: 'id' }],
    ['user.get', { id: 'ID', filter: 'FILTER' }],
  ])('%s is walked by id through its wrapper and its names', async (method, shape) => {
    const all = deals(700).map((row) => ({ [shape.id]: Number(row.ID) }))
    portal.lists[method] = { rows: all, ...shape }
    const list = await collectList(portal.caller, method, {})
    expect(list.rows).toEqual(all)
    expect(list.requests).toBe(3)
  })

  test('asks for fewer pages at once when the portal is slow', async () => {
    portal.lists['crm.deal.list'] = { rows: deals(1000), id: 'ID', seconds: 5 }
    await collectList(portal.caller, 'crm.deal.list')
    expect(Math.max(...portal.requests.map(({ pages }) => pages))).toBe(4)
  })

  test('reads a page again that failed, and misses nothing', async () => {
    portal.lists['crm.deal.list'] = { rows: deals(1000), id: 'ID' }
    portal.beforePage = ({ nth }) => (nth === 5 ? { error: 'INTERNAL_SERVER_ERROR' } : undefined)
    const list = await collectList(portal.caller, 'crm.deal.list')
    expect(ids(list.rows)).toEqual(ids(deals(1000)))
    expect(list.missing).toEqual([])
  })

  test('ends with a gap that names the last id when a page fails again', async () => {
    portal.lists['crm.deal.list'] = { rows: deals(1000), id: 'ID' }
    portal.beforePage = ({ params }) =>
      (params.filter as JsonObject | undefined)?.['>ID'] === '200' ? { error: 'BROKEN' } : undefined
    const list = await collectList(portal.caller, 'crm.deal.list')
    expect(list.rows).toHaveLength(200)
    expect(list).toMatchObject({ status: 400, missing: [{ page: '>ID 200', code: 'BROKEN' }] })

    const seen: string[] = []
    const walk = async () => {
      for await (const row of rows(portal.caller, 'crm.deal.list')) seen.push(String(row.ID))
    }
    await expect(walk()).rejects.toMatchObject({ code: 'BROKEN' })
    expect(seen).toHaveLength(200)
  })

  test('survives requests that are cut', async () => {
    portal.lists['crm.deal.list'] = { rows: deals(3000), id: 'ID' }
    portal.beforePage = ({ nth }) => (nth === 6 || nth === 40 ? 'cut' : undefined)
    const list = await collectList(portal.caller, 'crm.deal.list')
    expect(ids(list.rows)).toEqual(ids(deals(3000)))
  })

  test('hands out the refusal of the first page', async () => {
    const list = await collectList(portal.caller, 'crm.deal.list')
    expect(list).toMatchObject({
      rows: [],
      status: 404,
      requests: 1,
      error: { code: 'ERROR_METHOD_NOT_FOUND' },
      answer: { status: 404, body: { error: 'ERROR_METHOD_NOT_FOUND' } },
    })
  })

  test.each([
    ['its order', { ignoresOrder: true }],
    ['its filter', { ignoresFilter: true }],
    ['paging', { unpaged: true }],
  ])('becomes a walk by offset when the portal ignores %s', async (_, fault) => {
    portal.lists['crm.activity.list'] = { rows: deals(330), id: 'ID', ...fault }
    const list = await collectList(portal.caller, 'crm.activity.list')
    expect(ids(list.rows).sort()).toEqual(ids(deals(330)).sort())
    expect(list.missing).toEqual([])
  })

  test('has at most one group of pages in flight ahead of the reader', async () => {
    portal.lists['crm.deal.list'] = { rows: deals(10_000), id: 'ID' }
    const walk = walkList(portal.caller, 'crm.deal.list')
    await walk.next()
    await new Promise((resolve) => setTimeout(resolve, 50)) // long enough for a walk that does not wait
    expect(portal.requests.map(({ pages }) => pages)).toEqual([1, 8])
    await walk.return()
  })

  test('stops at a limit, and asks for no more pages than that takes', async () => {
    portal.lists['crm.deal.list'] = { rows: deals(1000), id: 'ID' }
    const found: JsonObject[] = []
    let lastId: string | null = null
    for await (const page of walkList(portal.caller, 'crm.deal.list', {}, { limit: 120 })) {
      found.push(...page.rows)
      lastId = page.lastId
    }
    expect(found).toHaveLength(120)
    expect(lastId).toBe('120')
    expect(portal.pages).toHaveLength(3)
  })

  test('ends with the reason of an abort', async () => {
    portal.lists['crm.deal.list'] = { rows: deals(10_000), id: 'ID' }
    const stop = new AbortController()
    const walk = async () => {
      for await (const page of walkList(portal.caller, 'crm.deal.list', {}, { signal: stop.signal }))
        if (page.lastId === '200') stop.abort(new Error('enough'))
    }
    await expect(walk()).rejects.toThrow('enough')
    expect(portal.pages.length).toBeLessThan(100)
  })

  test('resumes behind an id', async () => {
    portal.lists['crm.deal.list'] = { rows: deals(300), id: 'ID' }
    const list = await collectList(portal.caller, 'crm.deal.list', {}, { after: '250' })
    expect(ids(list.rows)).toEqual(ids(deals(300)).slice(250))
  })

  test('refuses to collect more than it may', async () => {
    portal.lists['crm.deal.list'] = { rows: deals(1000), id: 'ID' }
    const tooMany = await collectList(portal.caller, 'crm.deal.list', {}, { maxRows: 100 })
    expect(tooMany).toMatchObject({ rows: [], status: 413, error: { code: 'LIST_TOO_LARGE' } })
    const tooBig = await collectList(portal.caller, 'crm.deal.list', {}, { maxBytes: 1000 })
    expect(tooBig.error?.code).toBe('LIST_TOO_LARGE')
    const counted = await collectList(portal.caller, 'crm.deal.list', {}, { maxRows: 100, withTotal: true })
    expect(counted).toMatchObject({ requests: 1, error: { code: 'LIST_TOO_LARGE' } })
  })

  test('gives every row that was there throughout exactly once, whatever fails, comes or goes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.integer({ min: 1, max: 3000 }), { maxLength: 900, size: 'max' }),
        fc.array(fc.nat(60), { maxLength: 6 }),
        fc.infiniteStream(fc.nat(3000)),
        async (numbers, failures, choices) => {
          const sorted = numbers.sort((left, right) => left - right)
          const list = { rows: sorted.map((id) => ({ ID: String(id) })), id: 'ID' }
          portal.lists['crm.deal.list'] = list
          portal.pages.length = 0
          const stayed = new Set(ids(list.rows))
          const failing = new Set(failures.filter((nth) => nth > 1))
          let last = 0
          portal.beforePage = ({ nth }) => {
            const victim = choices.next().value % (list.rows.length + 1)
            const [gone] = list.rows.splice(victim, 1)
            if (gone !== undefined) stayed.delete(gone.ID)
            const born = choices.next().value
            if (!list.rows.some((row) => row.ID === String(born))) {
              list.rows.push({ ID: String(born) })
              list.rows.sort((left, right) => Number(left.ID) - Number(right.ID))
            }
            // Twice in a row is a gap, which is another test; a page is asked for again right after its failure.
            if (!failing.has(nth) || nth === last + 1) return undefined
            last = nth
            return { error: 'INTERNAL_SERVER_ERROR' }
          }
          const got = await collectList(portal.caller, 'crm.deal.list')
          const given = ids(got.rows)
          expect(got.missing).toEqual([])
          expect(new Set(given).size).toBe(given.length)
          expect([...stayed].filter((id) => !given.includes(id))).toEqual([])
        },
      ),
      { numRuns: 60, endOnFailure: true },
    )
  })
})

describe('a walk by offset', () => {
  test.each([
    [0, 1],
    [50, 1],
    [51, 2],
    [450, 2],
    [451, 3],
    [3000, 4],
  ])('%i rows come in page order with %i requests', async (count, requests) => {
    portal.lists['crm.deal.list'] = { rows: deals(count), id: 'ID' }
    const order = { ID: 'DESC' }
    const list = await collectList(portal.caller, 'crm.deal.list', { order })
    expect(ids(list.rows)).toEqual(ids(deals(count)).reverse())
    expect(list).toMatchObject({ total: count, missing: [], requests })
    expect(portal.pages.map(({ params }) => Number(params.start ?? 0))).toEqual(
      Array.from({ length: Math.max(1, Math.ceil(count / 50)) }, (_, index) => index * 50),
    )
  })

  test('follows next where the portal does not count', async () => {
    portal.lists['disk.file.search'] = { rows: deals(230), id: 'ID', hidesTotal: true }
    const list = await collectList(portal.caller, 'disk.file.search')
    expect(ids(list.rows)).toEqual(ids(deals(230)))
    expect(list.total).toBeNull()
  })

  test('takes a list of an unknown method, wrapped or not', async () => {
    portal.lists['my.own.list'] = { rows: deals(130), id: 'ID', wrapper: 'things' }
    expect((await collectList(portal.caller, 'my.own.list')).rows).toHaveLength(130)
  })

  test('takes a list that comes whole although it is longer than a page', async () => {
    portal.lists['crm.category.list'] = { rows: deals(72), id: 'ID', unpaged: true, wrapper: 'categories' }
    expect(await collectList(portal.caller, 'crm.category.list')).toMatchObject({ total: 72, requests: 1 })
  })

  test('reads a failed page again, names it when that fails too, and goes on with the others', async () => {
    portal.lists['crm.deal.list'] = { rows: deals(400), id: 'ID' }
    let failures = 1
    portal.beforePage = ({ params }) =>
      Number(params.start) === 150 && failures-- > 0 ? { error: 'BROKEN' } : undefined
    const once = await collectList(portal.caller, 'crm.deal.list', {}, { mode: 'offset' })
    expect(ids(once.rows)).toEqual(ids(deals(400)))
    failures = 2
    const twice = await collectList(portal.caller, 'crm.deal.list', {}, { mode: 'offset' })
    expect(twice.rows).toHaveLength(350)
    expect(twice).toMatchObject({ status: 400, missing: [{ page: 'start=150', code: 'BROKEN' }] })
  })

  test('looks again when rows were deleted under it, so that none slips through', async () => {
    const list = { rows: deals(400), id: 'ID' }
    portal.lists['crm.status.list'] = list
    portal.beforePage = ({ nth }) => {
      if (nth === 2 || nth === 5) list.rows.splice(0, 3)
      return undefined
    }
    const got = await collectList(portal.caller, 'crm.status.list')
    expect(got.missing).toEqual([])
    expect(ids(got.rows)).toEqual(expect.arrayContaining(ids(list.rows)))
    expect(new Set(ids(got.rows)).size).toBe(got.rows.length)
  })

  test('says so when rows are deleted all the time', async () => {
    const list = { rows: deals(800), id: 'ID' }
    portal.lists['crm.status.list'] = list
    portal.beforePage = () => {
      list.rows.splice(0, 1)
      return undefined
    }
    const got = await collectList(portal.caller, 'crm.status.list')
    expect(got.missing).toMatchObject([{ code: 'LIST_CHANGED' }])
  })

  test('leaves out rows that come twice because others were inserted in front', async () => {
    const list = { rows: deals(400), id: 'ID' }
    portal.lists['crm.deal.list'] = list
    portal.beforePage = ({ nth }) => {
      if (nth % 2 === 0) list.rows.push({ ID: String(1000 + nth) })
      return undefined
    }
    const got = await collectList(portal.caller, 'crm.deal.list', { order: { ID: 'DESC' } })
    expect(new Set(ids(got.rows)).size).toBe(got.rows.length)
    expect(ids(got.rows)).toEqual(expect.arrayContaining(ids(deals(400))))
  })
})
