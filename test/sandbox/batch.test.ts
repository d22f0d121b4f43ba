import { describe, expect, it } from 'vitest'
import type { Sandbox } from '../../src/sandbox/index.ts'
import { ask, open, send } from './ask.ts'

async function batch(sandbox: Sandbox, cmd: unknown, halt: unknown = 0) {
  const { status, body } = await ask(sandbox, 'batch', { halt, cmd })
  expect(status).toBe(200)
  return body.result
}

const FORM_TYPE = { 'content-type': 'application/x-www-form-urlencoded' }
const WRONG_ID = { error: '', error_description: 'Not found' }

// https://apidocs.bitrix24.com/settings/how-to-call-rest-api/batch.html
describe('a batch', () => {
  it('answers by name, with empty lists where nothing is', async () => {
    const sandbox = await open()
    const result = await batch(sandbox, { a: 'server.time', b: 'profile' })
    expect(Object.keys(result.result)).toEqual(['a', 'b'])
    expect(Object.keys(result.result_time.a)).toContain('operating_reset_at')
    expect([result.result_error, result.result_total, result.result_next]).toEqual([[], [], []])
  })

  it('answers a list with a list, and with an object where something failed before', async () => {
    const sandbox = await open()
    const whole = await batch(sandbox, ['profile', 'server.time'])
    expect(Array.isArray(whole.result)).toBe(true)
    const holed = await batch(sandbox, ['crm.deal.get?id=999', 'server.time'])
    expect(Object.keys(holed.result)).toEqual(['1'])
    expect(holed.result_error).toEqual([WRONG_ID])
  })

  it('keeps the order of names that look like numbers, in JSON and in a form', async () => {
    const sandbox = await open()
    const commands = '{"2":"sandbox.echo?a=2","0":"sandbox.echo?a=$result[2][a]0"}'
    const json = await send(`${sandbox.webhookUrl}batch`, {
      body: `{"x":{"cmd":1}, "cmd":${commands}}`,
      headers: { 'content-type': 'application/json' },
    })
    expect(json.text).toContain('"result":{"2":{"a":"2"},"0":{"a":"2"}}')
    const body = 'cmd[2]=sandbox.echo%3Fa%3D2&cmd[0]=sandbox.echo%3Fa%3D%24result%5B2%5D%5Ba%5D'
    const form = await send(`${sandbox.webhookUrl}batch`, { body, headers: FORM_TYPE })
    expect(form.text).toContain('"result":{"2":{"a":"2"},"0":{"a":"2"}}')
  })

  it('shows a failed command among the errors only', async () => {
    const sandbox = await open()
    const result = await batch(sandbox, { x: 'crm.deal.get?id=999', y: 'no.such.method' })
    expect(result.result_error.x).toEqual(WRONG_ID)
    expect(result.result_error.y.error).toBe('ERROR_METHOD_NOT_FOUND')
    expect([result.result, result.result_time]).toEqual([[], []])
  })

  it.each([
    [1, ['a']],
    ['1', ['a']],
    ['false', ['a']],
    [0, ['a', 'c']],
    ['0', ['a', 'c']],
    [false, ['a', 'c']],
  ])('with halt %j runs %j', async (halt, ran) => {
    const sandbox = await open()
    const cmd = { a: 'profile', b: 'crm.deal.get?id=999', c: 'profile' }
    const result = await batch(sandbox, cmd, halt)
    expect(Object.keys(result.result)).toEqual(ran)
    expect(Object.keys(result.result_error)).toEqual(['b'])
  })

  it('runs fifty commands and refuses the others one by one', async () => {
    const sandbox = await open()
    const cmd = Object.fromEntries(Array.from({ length: 52 }, (_, i) => [`c${i}`, 'server.time']))
    const result = await batch(sandbox, cmd)
    expect(Object.keys(result.result).length).toBe(50)
    const refused = { error: 'ERROR_BATCH_LENGTH_EXCEEDED', error_description: 'Max batch length exceeded' }
    expect(result.result_error).toEqual({ c50: refused, c51: refused })
  })

  it('refuses a batch in a batch', async () => {
    const sandbox = await open()
    const { n } = (await batch(sandbox, { n: 'batch?cmd[a]=profile' })).result_error
    expect(n).toEqual({
      error: 'ERROR_BATCH_METHOD_NOT_ALLOWED',
      error_description: 'Method is not allowed for batch usage',
    })
  })

  it('skips commands that are no text, but counts them', async () => {
    const sandbox = await open()
    const cmd = [{ method: 'profile' }, ...Array.from({ length: 50 }, () => 'server.time')]
    const result = await batch(sandbox, cmd)
    expect(Object.keys(result.result).length).toBe(49)
    expect(Object.keys(result.result_error)).toEqual(['50'])
    expect(await batch(sandbox, 'nothing')).toEqual({
      result: [],
      result_error: [],
      result_total: [],
      result_next: [],
      result_time: [],
    })
  })

  it('leaves the text of a missing scope empty', async () => {
    const sandbox = await open()
    sandbox.change({ scopes: { s3cr3t: ['user'] } })
    const result = await batch(sandbox, { a: 'crm.deal.list', b: 'user.current' })
    expect(result.result_error.a).toEqual({ error: 'insufficient_scope', error_description: '' })
    expect(result.result.b.ID).toBe('1')
  })

  it('gives total and next of lists by name', async () => {
    const sandbox = await open({ deals: 70 })
    const result = await batch(sandbox, { a: 'crm.deal.list', b: 'crm.deal.list?start=50', c: 'profile' })
    expect(result.result_total).toEqual({ a: 70, b: 70 })
    expect(result.result_next).toEqual({ a: 50 })
    expect(result.result.b.length).toBe(20)
  })

  it('runs under the token of the request, whatever a command brings', async () => {
    const sandbox = await open()
    const params = {
      auth: sandbox.accessToken,
      cmd: { a: 'app.info?auth=stolen', b: 'sandbox.echo?auth=stolen&x=1' },
    }
    const { body } = await ask(sandbox, 'batch', params, { base: `${sandbox.url}/rest/` })
    expect(body.result.result).toMatchObject({ a: { INSTALLED: true }, b: { x: '1' } })
    expect(body.result.result.b).not.toHaveProperty('auth')
  })

  it('takes method and parameters in any case, and the outer names too', async () => {
    const sandbox = await open()
    const { body } = await ask(sandbox, 'BATCH', { CMD: { a: 'CRM.Deal.Get?ID=7' }, HALT: 1 })
    expect(body.result.result.a.ID).toBe('7')
  })
})

// https://apidocs.bitrix24.com/settings/how-to-call-rest-api/data-encoding.html
describe('the text of a command', () => {
  it('is decoded like a URL, without what stands behind #', async () => {
    const sandbox = await open()
    const result = await batch(sandbox, {
      a: 'crm.deal.add?fields[TITLE]=a%26b+c#x',
      b: 'crm.deal.get?id=$result[a]',
    })
    expect(result.result.b.TITLE).toBe('a&b c')
  })

  it('is encoded twice in a form', async () => {
    const sandbox = await open()
    const body =
      'halt=0&cmd[a]=crm.lead.add%3Ffields%5BTITLE%5D%3DJohn%2526Martin&cmd[b]=crm.lead.get%3Fid%3D$result[a]'
    const reply = await send(`${sandbox.webhookUrl}batch`, { body, headers: FORM_TYPE })
    expect(reply.body.result.result.b.TITLE).toBe('John&Martin')
  })
})

// https://apidocs.bitrix24.com/settings/how-to-call-rest-api/batch.html
describe('a reference', () => {
  const echo = async (value: string) => {
    const sandbox = await open({ deals: 70 })
    const cmd = {
      user: 'user.current',
      deals: 'crm.deal.list?select[]=ID&order[ID]=ASC',
      add: 'crm.deal.add?fields[TITLE]=new',
      bad: 'crm.deal.get?id=999',
      echo: `sandbox.echo?v=${value}`,
    }
    const result = await batch(sandbox, cmd)
    return { v: result.result.echo.v, result }
  }

  it.each([
    ['$result[user][UF_DEPARTMENT][0]', 1],
    ['%24result%5Buser%5D%5BUF_DEPARTMENT%5D', [1]],
    ['$result[deals][49][ID]', '50'],
    ['$result[add]', 71],
    ['$total[deals]', 70],
    ['$next[deals]', 50],
    ['$error[bad][error_description]', 'Not found'],
    ['$result[deals][9][ID][0]', '1'],
    ['D_$result[add]', 'D_71'],
    ['Deal+$result[deals][1][ID]+and+$result[add]', 'Deal 2 and 71'],
    ['$result[add]_gone', 71],
    ['x$result[user]', 'x$result[user]'],
    ['$Result[add]', '$Result[add]'],
  ])('%s becomes %j', async (value, expected) => {
    expect((await echo(value)).v).toEqual(expected)
  })

  it('that leads nowhere becomes the deepest level that exists', async () => {
    const ghost = await echo('$result[ghost][ID]')
    expect(Object.keys(ghost.v)).toEqual(['user', 'deals', 'add'])
    expect((await echo('$result[bad][ID]')).v).toEqual(ghost.v)
    // The word may go on: what counts is how it begins.
    expect((await echo('$results[ghost]')).v).toEqual(ghost.v)
    const short = await echo('$result[deals][50][ID]')
    expect(short.v).toEqual(short.result.result.deals)
  })

  it('filters departments by a user’s own, as a number or a whole list', async () => {
    const sandbox = await open()
    const result = await batch(sandbox, {
      u: 'user.current',
      one: 'department.get?ID=$result[u][UF_DEPARTMENT][0]',
      all: 'department.get?ID=$result[u][UF_DEPARTMENT]',
    })
    expect(result.result.one.map((row: { ID: string }) => row.ID)).toEqual(['1'])
    expect(result.result.all).toEqual(result.result.one)
  })

  it('chains pages by id', async () => {
    const sandbox = await open({ deals: 120 })
    const page = (last: string) => `crm.deal.list?order[ID]=ASC&filter[>ID]=${last}&start=-1&select[]=ID`
    const cmd = { a: page('0'), b: page('$result[a][49][ID]'), c: page('$result[b][49][ID]') }
    const result = await batch(sandbox, cmd, 1)
    const ids = ['a', 'b', 'c'].flatMap((key) =>
      result.result[key].map((row: { ID: string }) => Number(row.ID)),
    )
    expect(ids).toEqual(Array.from({ length: 120 }, (_, i) => i + 1))
  })
})
