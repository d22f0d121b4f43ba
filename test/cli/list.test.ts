import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { listCommand } from '../../src/cli/commands/list.ts'
import type { CliIo } from '../../src/cli/io.ts'
import type { JsonObject } from '../../src/model/json.ts'
import { deals, startPortal, type TestPortal } from '../client/list/portal.ts'

let portal: TestPortal
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'b24-list-'))
  portal = await startPortal({ 'crm.deal.list': { rows: deals(430), id: 'ID' } })
})
afterEach(async () => {
  await portal[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

/** Runs the command and gives what it wrote. */
async function run(args: string[], options: { signal?: AbortSignal; tty?: boolean } = {}) {
  const stdout = new PassThrough()
  const stderr = Object.assign(new PassThrough(), { isTTY: options.tty ?? false })
  const texts = Promise.all([stdout, stderr].map(async (stream) => (await stream.toArray()).join('')))
  const signal = options.signal ?? new AbortController().signal
  const io: CliIo = { stdin: Readable.from([]), stdout, stderr, env: {}, cwd: folder, signal, exit: () => {} }
  const openClient = async () => ({ ...portal.caller, close: async () => {} })
  let error: unknown
  try {
    await listCommand(io, { openClient }).exitOverride().parseAsync(args, { from: 'user' })
  } catch (caught) {
    error = caught
  }
  stdout.end()
  stderr.end()
  const [out = '', err = ''] = await texts
  return { out, err, error }
}

const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8')
const lines = (text: string): JsonObject[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as JsonObject)

describe('b24-bridge list', () => {
  test('writes every row as a line of JSON, and a summary to stderr', async () => {
    const { out, err } = await run(['crm.deal.list'])
    expect(lines(out)).toEqual(deals(430))
    expect(err).toMatch(/^430 rows, 2 requests, \d/)
    expect(portal.pages[0]?.params).toEqual({ order: { ID: 'ASC' }, start: -1 })
  })

  test('gives the parameters to the portal', async () => {
    await run(['crm.deal.list', 'filter[STAGE_ID]=NEW', '--params', '{"select":["ID"]}', '--limit', '10'])
    expect(portal.pages[0]?.params).toMatchObject({ filter: { STAGE_ID: 'NEW' }, select: ['ID'] })
  })

  test('writes one JSON array, also for no rows at all', async () => {
    expect(JSON.parse((await run(['crm.deal.list', '--format', 'json'])).out)).toEqual(deals(430))
    portal.lists['crm.deal.list'] = { rows: [], id: 'ID' }
    expect(JSON.parse((await run(['crm.deal.list', '--format', 'json'])).out)).toEqual([])
  })

  test('writes a CSV with the columns of the first page, quotes by RFC 4180, and tells what it left out', async () => {
    const rows: JsonObject[] = deals(60).map((row) => ({ ...row, PHONE: [{ VALUE: '1' }], NOTE: null }))
    rows[0] = { ...rows[0], TITLE: 'a "b", c\nd' }
    rows[55] = { ...rows[55], LATE: 'x' }
    portal.lists['crm.deal.list'] = { rows, id: 'ID' }
    const { err } = await run(['crm.deal.list', '--out', 'deals.csv'])
    const text = await read('deals.csv')
    expect(text.split('\r\n').slice(0, 3)).toEqual([
      'ID,TITLE,PHONE,NOTE',
      '1,"a ""b"", c\nd","[{""VALUE"":""1""}]",',
      '2,Deal 2,"[{""VALUE"":""1""}]",',
    ])
    expect(text.split('\r\n')).toHaveLength(62)
    expect(err).toContain('not in the file: LATE')
  })

  test('takes the columns of a CSV from select, in that order', async () => {
    const { out } = await run([
      'crm.deal.list',
      'select[]=TITLE',
      'select[]=ID',
      '--format',
      'csv',
      '--limit',
      '1',
    ])
    expect(out).toBe('TITLE,ID\r\nDeal 1,1\r\n')
  })

  test('stops at a limit', async () => {
    expect(lines((await run(['crm.deal.list', '--limit', '75'])).out)).toHaveLength(75)
  })

  test('pages by offset in the order asked for', async () => {
    const { out } = await run(['crm.deal.list', 'order[ID]=DESC'])
    expect(lines(out)).toEqual(deals(430).reverse())
  })

  test('gives the summary as JSON on stdout when the rows go to a file', async () => {
    const { out, err } = await run(['crm.deal.list', '--out', 'deals.ndjson', '--json', '--quiet'])
    expect(JSON.parse(out)).toMatchObject({ method: 'crm.deal.list', rows: 430, requests: 2, resumedRows: 0 })
    expect(err).toBe('')
  })

  test('lets the portal count for a progress bar only on a terminal', async () => {
    const { err } = await run(['crm.deal.list', '--out', 'deals.ndjson'], { tty: true })
    expect(portal.pages[0]?.params).not.toHaveProperty('start')
    expect(err).toContain('430 rows')
    await run(['crm.deal.list', '--no-count'], { tty: true })
    expect(portal.pages.at(-1)?.params.start).toBe('-1')
  })

  test('leaves no file that is not whole, and hands on the error', async () => {
    portal.beforePage = ({ nth }) => (nth >= 4 ? { error: 'BROKEN' } : undefined)
    const { error, err } = await run(['crm.deal.list', '--out', 'deals.ndjson'])
    expect(error).toMatchObject({ code: 'BROKEN' })
    expect(err).toContain('--resume')
    expect(existsSync(join(folder, 'deals.ndjson'))).toBe(false)
    expect(lines(await read('deals.ndjson.part'))).toHaveLength(150)
  })

  test.each(['ndjson', 'json', 'csv'])(
    'resumes %s behind the last row, to the very bytes of one run',
    async (format) => {
      portal.lists['crm.deal.list'] = { rows: deals(7000), id: 'ID' }
      await run(['crm.deal.list', '--out', `whole.${format}`])
      for (const failing of [30, 100]) {
        portal.pages.length = 0
        portal.beforePage = ({ nth }) => (nth >= failing ? { error: 'BROKEN' } : undefined)
        expect((await run(['crm.deal.list', '--out', `part.${format}`, '--resume'])).error).toBeDefined()
      }
      await writeFile(join(folder, `part.${format}.part`), 'half a li', { flag: 'a' })
      portal.pages.length = 0
      portal.beforePage = () => undefined
      const { err } = await run(['crm.deal.list', '--out', `part.${format}`, '--resume'])
      expect(err).toContain('Going on behind id')
      expect(portal.pages.length).toBeLessThan(60)
      expect(await read(`part.${format}`)).toBe(await read(`whole.${format}`))
      expect(existsSync(join(folder, `part.${format}.part`))).toBe(false)
      expect(existsSync(join(folder, `part.${format}.resume.json`))).toBe(false)
    },
  )

  test('does not resume another list, and begins anew without a note', async () => {
    portal.beforePage = ({ nth }) => (nth >= 4 ? { error: 'BROKEN' } : undefined)
    await run(['crm.deal.list', '--out', 'deals.ndjson'])
    portal.beforePage = () => undefined
    const other = await run(['crm.deal.list', 'filter[X]=1', '--out', 'deals.ndjson', '--resume'])
    expect(other.error).toMatchObject({ code: 'RESUME_MISMATCH' })
    await rm(join(folder, 'deals.ndjson.resume.json'))
    await run(['crm.deal.list', '--out', 'deals.ndjson', '--resume'])
    expect(lines(await read('deals.ndjson'))).toEqual(deals(430))
  })

  test('an interrupted run can be resumed as well', async () => {
    portal.lists['crm.deal.list'] = { rows: deals(7000), id: 'ID' }
    const stop = new AbortController()
    portal.beforePage = ({ nth }) => {
      if (nth === 80) stop.abort()
      return undefined
    }
    const { error } = await run(['crm.deal.list', '--out', 'deals.ndjson'], { signal: stop.signal })
    expect(error).toMatchObject({ name: 'AbortError' })
    await run(['crm.deal.list', '--out', 'deals.ndjson', '--resume'])
    expect(lines(await read('deals.ndjson'))).toEqual(deals(7000))
  })

  test('--resume without --out is refused', async () => {
    expect((await run(['crm.deal.list', '--resume'])).error).toMatchObject({ code: 'ARGUMENT_INVALID' })
  })

  test('kill -9 at any moment loses no row and doubles none', { timeout: 60_000 }, async () => {
    const rows = deals(30_000, 7)
    portal.lists['crm.deal.list'] = { rows, id: 'ID' }
    const out = join(folder, 'deals.ndjson')
    const args = [compileChild(), portal.url, 'crm.deal.list', '--out', out, '--resume', '--quiet']
    let kills = 0
    for (let finished = false; !finished; ) {
      portal.pages.length = 0
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] })
      const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
      portal.beforePage = ({ nth }) => {
        if (kills < 4 && nth === 110 + kills * 13) {
          kills++
          child.kill('SIGKILL')
        }
        return undefined
      }
      const code = await ended
      expect([0, null]).toContain(code)
      finished = code === 0
    }
    expect(kills).toBe(4)
    expect(lines(await read('deals.ndjson'))).toEqual(rows)
    expect(existsSync(`${out}.part`)).toBe(false)
  })
})

/** The command as JavaScript, below `node_modules` so that it finds its packages; Node 20 runs no TypeScript. */
function compileChild(): string {
  const folder = resolve('node_modules/.cache/bitrix24-bridge-list-child')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  const source = JSON.parse(readFileSync('tsconfig.json', 'utf8')) as { compilerOptions: object }
  const compilerOptions = { ...source.compilerOptions, noEmit: false, rootDir: resolve('.'), outDir: folder }
  const files = [resolve('test/cli/list-child.ts')]
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
  // Other folders may be at odds with their types while they are worked on; the text comes out all the same.
  spawnSync('npx', ['tsc', '-p', join(folder, 'tsconfig.json')], { encoding: 'utf8' })
  return join(folder, 'test/cli/list-child.js')
}
