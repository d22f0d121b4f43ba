import { describe, expect, it, onTestFinished } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import { batchText, scriptedPortal } from '../support/scripted-portal.ts'

/** Texts that reading and writing again would change. */
const ODD = [
  '12345678901234567890',
  '1.0',
  '1.50',
  '1E3',
  '{"b":1,"a":2}',
  '{"10":"x","9":"y","a":{"2":1,"1":2}}',
  '"\\u041f\\u0440 \\/ \\ud83d\\udca1 \\" ]}"',
  '[ 1 , 2 ]',
  '{"a":1,"a":2}',
  '[]',
  '{}',
  'null',
  '0',
  '""',
  '[[{"x":"]}"}]]',
]

async function ask(webhook: string, together: boolean): Promise<(string | undefined)[]> {
  const b24 = createClient({ webhook, limit: 'off' })
  onTestFinished(() => b24.close())
  const submit = (n: number) =>
    b24.submit({ calls: [{ method: 'odd.get', params: { n: String(n) }, raw: true }] })
  const settled = together
    ? await Promise.all(ODD.map((_, n) => submit(n)))
    : await ODD.reduce<Promise<Awaited<ReturnType<typeof submit>>[]>>(
        async (before, _, n) => [...(await before), await submit(n)],
        Promise.resolve([]),
      )
  return settled.map(([one]) => one?.answer?.raw)
}

describe('an answer that is asked for raw', () => {
  it('alone is the body byte for byte, spaces and all', async () => {
    const text = (n: number) => ` {"result" : ${ODD[n]},\n"time":{"start":1.50}} `
    const portal = await scriptedPortal(({ body }) => text(Number(body.n)))
    expect(await ask(portal.webhook, false)).toEqual(ODD.map((_, n) => text(n)))
  })

  it('from a batch holds every digit, escape and order of the portal', async () => {
    const portal = await scriptedPortal((request) =>
      batchText(request, ({ params }) => ODD[Number((params as { n: string }).n)]!),
    )
    expect(await ask(portal.webhook, true)).toEqual(ODD.map((text) => `{"result":${text}}`))
    expect(portal.requests).toHaveLength(1)
  })

  it('from a batch holds counters and times as the portal wrote them, and errors too', async () => {
    const portal = await scriptedPortal(({ commands }) => {
      const [a, b] = commands.map(({ key }) => JSON.stringify(key))
      const maps = [
        `"result":{${a}:[1.0]}`,
        `"result_error":{${b}:{"error":"X","n":1.0}}`,
        `"result_total":{${a}:1.0}`,
        `"result_next":{${a}:50.0}`,
        `"result_time":{${a}:{"operating":0.10}}`,
      ]
      return `{"result":{${maps.join(',')}},"time":{}}`
    })
    const b24 = createClient({ webhook: portal.webhook, limit: 'off' })
    onTestFinished(() => b24.close())
    const raw = (method: string) => b24.submit({ calls: [{ method, params: {}, raw: true }] })
    const [[first], [second]] = await Promise.all([raw('a.get'), raw('b.get')])
    expect(first?.answer?.raw).toBe('{"result":[1.0],"next":50.0,"total":1.0,"time":{"operating":0.10}}')
    expect(second?.answer?.raw).toBe('{"error":"X","n":1.0}')
  })

  it('is understood whatever PHP makes of empty maps', async () => {
    const portal = await scriptedPortal(({ commands }) => {
      const entries = commands.map(({ key }) => `"${key}":{"error":"NO","error_description":""}`)
      return `{"result":{"result":[],"result_error":{${entries.join(',')}},"result_total":[],"result_next":[],"result_time":[]}}`
    })
    const b24 = createClient({ webhook: portal.webhook, limit: 'off' })
    onTestFinished(() => b24.close())
    const settled = await Promise.all([b24.send('a.get'), b24.send('b.get')])
    expect(settled.map(({ error }) => error?.code)).toEqual(['NO', 'NO'])
  })

  it('comes back under keys that nobody can guess and that keep their order', async () => {
    const portal = await scriptedPortal((request) => batchText(request, () => 'true'))
    const b24 = createClient({ webhook: portal.webhook, limit: 'off' })
    onTestFinished(() => b24.close())
    for (let round = 0; round < 2; round++) await Promise.all([b24.send('a.get'), b24.send('b.get')])
    const keys = portal.requests.flatMap(({ commands }) => commands.map(({ key }) => key))
    expect(new Set(keys).size).toBe(4)
    for (const key of keys) expect(key).toMatch(/^[a-z]\w{10,}$/)
  })
})
