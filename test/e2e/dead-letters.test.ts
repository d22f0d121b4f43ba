import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { run } from '../cli/support/command-line.ts'
import { eventually } from '../conformance/broker.ts'
import { type Bench, type BenchOptions, BROKERS, openBench } from '../support/bridge.ts'

const STORED = { BRIDGE_DEAD_LETTERS: 'store' }

async function open(options: BenchOptions): Promise<Bench> {
  const bench = await openBench({ ...options, env: { ...STORED, ...options.env } })
  onTestFinished(() => bench[Symbol.asyncDispose]())
  return bench
}

/** The command line beside the running bridge. */
function cli({ env, folder }: Bench, ...words: string[]) {
  const given = Object.entries(env).filter((one): one is [string, string] => one[1] !== undefined)
  return run(words, { env: Object.fromEntries(given), cwd: folder })
}

// biome-ignore lint/suspicious/noExplicitAny: tests reach into any JSON
async function json(bench: Bench, ...words: string[]): Promise<any> {
  const { code, out, err } = await cli(bench, 'dead', ...words, '--json')
  expect({ code, err }, words.join(' ')).toEqual({ code: 0, err: '' })
  return JSON.parse(out)
}

/** The letters as `dead list` shows them, when there are so many. */
// biome-ignore lint/suspicious/noExplicitAny: tests reach into any JSON
async function letters(bench: Bench, count: number, ...filter: string[]): Promise<any[]> {
  let found: unknown[] = []
  await eventually(async () => {
    found = (await json(bench, 'list', ...filter)).letters
    expect(found).toHaveLength(count)
  }, 15_000)
  return found
}

for (const { name, kind, skip } of BROKERS) {
  describe.skipIf(skip)(`dead letters ${name}`, () => {
    it('a command that could not be read is listed, mended and sent again, and its reply arrives', async () => {
      const bench = await open({ broker: kind })
      const id = await bench.send('{"method":"crm.deal.get","params":{"id":7}', { correlationId: 'order-1' })
      expect((await bench.reply('order-1')).body).toMatchObject({ error: { code: 'BODY_NOT_JSON' } })
      const [letter] = await letters(bench, 1)
      expect(letter).toMatchObject({
        kind: 'command',
        state: 'open',
        reason: 'BODY_NOT_JSON',
        description: expect.stringMatching(/.{10,}/),
        hint: expect.stringMatching(/.{10,}/),
        queue: bench.commandQueue,
        contract: 'native',
        messageId: id,
        correlationId: 'order-1',
        attempts: 0,
        deliveries: 1,
        unsure: false,
      })
      const shown = await json(bench, 'show', letter.id)
      expect(shown.body).toBe('{"method":"crm.deal.get","params":{"id":7}')
      const again = ['edit', letter.id, '--body', '{"method":"crm.deal.get","params":{"id":7}}']
      expect(await json(bench, ...again, '--dry-run')).toMatchObject({ sent: false })
      expect(bench.repliesTo('order-1')).toHaveLength(1)
      expect(await json(bench, ...again)).toMatchObject({ sent: true, messageId: id })
      await eventually(() => expect(bench.repliesTo('order-1')).toHaveLength(2))
      expect(bench.repliesTo('order-1')[1]!.body).toMatchObject({ outcome: 'done', result: { ID: '7' } })
      const { letter: after } = await json(bench, 'show', letter.id)
      expect(after).toMatchObject({ state: 'retried', retries: 1, retriedBy: expect.stringMatching(/^cli:/) })
      expect((await json(bench, 'list')).letters).toEqual([])
      expect((await json(bench, 'list', '--state', 'all')).letters).toHaveLength(1)
    })
  })
}
