import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { createLedger, type KeptReply, type Ledger } from '../../../src/bridge/commands/ledger.ts'
import { LedgerEntry } from '../../../src/bridge/commands/ledger-entry.ts'
import { ledgerQueries } from '../../../src/stores/bound.ts'
import { openStore } from '../../../src/stores/open.ts'
import { stopwatchBy } from '../../../src/util/stopwatch.ts'

const QUIET_MS = 400
/** Nothing but time makes a claim old. */
const OLD_MS = QUIET_MS + 50

/** Two processes on one store, as far as the ledger can tell. */
async function twoLedgers(quietMs = QUIET_MS): Promise<[Ledger, Ledger]> {
  const store = await openStore('sqlite::memory:', { now: Date.now })
  onTestFinished(() => store.close())
  const open = (): Ledger =>
    createLedger(ledgerQueries(store).store, {
      now: Date.now,
      quietMs,
      shared: true,
      startStopwatch: stopwatchBy(Date.now),
    })
  return [open(), open()]
}

const entryIn = (ledger: Ledger): LedgerEntry => new LedgerEntry(ledger, 'native commands m-1', 'hash')

const replyOf = (text: string): KeptReply => ({
  address: { exchange: '', routingKey: 'replies' },
  message: { body: Buffer.from(text), headers: {} },
})
const textOf = ({ message }: KeptReply): string => message.body.toString()

it('a write is begun by one process only, and the other one is told', async () => {
  const [one, two] = (await twoLedgers()).map(entryIn) as [LedgerEntry, LedgerEntry]
  await one.claim()
  await expect(two.claim()).rejects.toMatchObject({ code: 'BEGUN_ELSEWHERE', mayHaveRun: false })
  await two.withdraw()
  expect(await one.recall()).toMatchObject({ begun: {} })
})

it('a write in doubt is sent again by one process only', async () => {
  const [one, two] = await twoLedgers()
  await entryIn(one).claim()
  const heirs = [entryIn(one), entryIn(two)]
  for (const heir of heirs)
    expect(await heir.recall()).toMatchObject({ begun: { since: expect.any(Number) } })
  const ends = await Promise.allSettled(heirs.map((heir) => heir.claim()))
  expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
})

it('a claim is asked for once, however many requests wait for it, and again when it has aged', async () => {
  const [one, two] = await twoLedgers()
  const entry = entryIn(one)
  const claims = [entry.claim(), entry.claim()]
  expect(claims[0]).toBe(claims[1])
  await claims[0]
  expect(entry.claim()).toBeUndefined()
  const heir = entryIn(two)
  const first = (await heir.recall())?.begun?.since as number
  await sleep(QUIET_MS / 4)
  await entry.claim()
  expect((await heir.recall())?.begun?.since).toBeGreaterThan(first)
  await expect(entryIn(two).claim()).rejects.toMatchObject({ code: 'BEGUN_ELSEWHERE' })
})

it('what another process has begun is left alone for the quiet period after its last claim', async () => {
  const [one, two] = await twoLedgers()
  await entryIn(one).claim()
  const heir = entryIn(two)
  const left = heir.quietLeft((await heir.recall()) ?? {})
  expect(left).toBeGreaterThan(0)
  expect(left).toBeLessThanOrEqual(QUIET_MS)
  await sleep(OLD_MS)
  expect(heir.quietLeft((await heir.recall()) ?? {})).toBe(0)
})

it('a process that stood still answers with the end that its heir has written', async () => {
  const [one, two] = await twoLedgers()
  const stalled = entryIn(one)
  await stalled.claim()
  await sleep(OLD_MS)
  const heir = entryIn(two)
  await heir.recall()
  expect(textOf(await heir.end(replyOf('unknown'), true))).toBe('unknown')
  expect(textOf(await stalled.end(replyOf('done'), true))).toBe('unknown')
  expect(await entryIn(one).recall()).toMatchObject({ reply: {} })
})

it('an heir answers with the end that was written while it looked', async () => {
  const [one, two] = await twoLedgers()
  const first = entryIn(one)
  await first.claim()
  const heir = entryIn(two)
  await heir.recall()
  expect(textOf(await first.end(replyOf('done'), true))).toBe('done')
  expect(textOf(await heir.end(replyOf('unknown'), true))).toBe('done')
})

it('a process that stood still neither sends nor withdraws what its heir has begun', async () => {
  const [one, two] = await twoLedgers()
  const stalled = entryIn(one)
  await stalled.claim()
  await sleep(OLD_MS)
  const heir = entryIn(two)
  await heir.recall()
  await heir.claim()
  await expect(stalled.claim()).rejects.toMatchObject({ code: 'BEGUN_ELSEWHERE' })
  await stalled.withdraw()
  await expect(stalled.end(replyOf('failed'), false)).rejects.toMatchObject({ code: 'BEGUN_ELSEWHERE' })
  expect(textOf(await heir.end(replyOf('done'), true))).toBe('done')
  expect(textOf(await stalled.end(replyOf('failed'), false))).toBe('done')
})

it('what surely did not run is new when it comes again', async () => {
  const [one, two] = await twoLedgers()
  const entry = entryIn(one)
  await entry.claim()
  await entry.end(replyOf('failed'), false)
  expect(await entryIn(two).recall()).toBeUndefined()
})
