import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { KeptReply, Ledger, LedgerStore } from '../../../src/bridge/commands/ledger.ts'
import { LedgerEntry } from '../../../src/bridge/commands/ledger-entry.ts'
import { StoreError } from '../../../src/model/errors.ts'
import { sharedLedgers } from '../../support/ledger.ts'

const QUIET_MS = 400
/** Nothing but time makes a claim old. */
const OLD_MS = QUIET_MS + 50

/** Two processes on one store, as far as the ledger can tell. */
async function twoLedgers(): Promise<[Ledger, Ledger]> {
  const { open } = await sharedLedgers(QUIET_MS)
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

describe('a write that surely did not run', () => {
  const again = (ledger: Ledger, hash = 'hash'): LedgerEntry =>
    new LedgerEntry(ledger, 'native commands m-1', hash, () => true)

  it('is answered as before when the same delivery comes again, and is new when its sender repeats it', async () => {
    const [one, two] = await twoLedgers()
    const entry = entryIn(one)
    await entry.claim()
    await entry.end(replyOf('failed'), false)
    expect(textOf((await again(two).recall())?.reply as KeptReply)).toBe('failed')
    const repeated = entryIn(two)
    expect(await repeated.recall()).toBeUndefined()
    await repeated.claim()
    await repeated.end(replyOf('done'), true)
    expect(textOf((await again(one).recall())?.reply as KeptReply)).toBe('done')
    expect(textOf((await entryIn(one).recall())?.reply as KeptReply)).toBe('done')
  })

  it('is remembered although it never left', async () => {
    const [one, two] = await twoLedgers()
    await entryIn(one).end(replyOf('no such portal'), false)
    expect(textOf((await again(two).recall())?.reply as KeptReply)).toBe('no such portal')
  })

  it('fails in one way, whichever process ends it first', async () => {
    const [one, two] = await twoLedgers()
    await entryIn(one).end(replyOf('one'), false)
    expect(textOf(await again(two).end(replyOf('two'), false))).toBe('one')
  })

  it('is not answered with its end while another process is at it', async () => {
    const [one, two] = await twoLedgers()
    await entryIn(one).claim()
    await expect(entryIn(two).end(replyOf('failed'), false)).rejects.toMatchObject({
      code: 'BEGUN_ELSEWHERE',
    })
  })

  it('is begun anew by one of two who repeat it', async () => {
    const [one, two] = await twoLedgers()
    await entryIn(one).end(replyOf('failed'), false)
    const both = [entryIn(one), entryIn(two)]
    for (const entry of both) await entry.recall()
    const ends = await Promise.allSettled(both.map((entry) => entry.claim()))
    expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  it('may be mended and sent under the same id; one that was carried out may not', async () => {
    const [one, two] = await twoLedgers()
    await entryIn(one).end(replyOf('failed'), false)
    const mended = again(two, 'another hash')
    expect(await mended.recall()).toBeUndefined()
    await mended.claim()
    await mended.end(replyOf('done'), true)
    const other = entryIn(one)
    expect(await other.recall()).toMatchObject({ outcome: { failure: { code: 'MESSAGE_ID_REUSED' } } })
    expect(textOf(await other.end(replyOf('refused'), false))).toBe('refused')
    expect(textOf((await again(one, 'another hash').recall())?.reply as KeptReply)).toBe('done')
  })
})

describe('a claim that the store has written without an answer', () => {
  /** A process whose connection breaks right after these statements. */
  async function breaking(...names: ('started' | 'again')[]) {
    const { store, open } = await sharedLedgers(QUIET_MS)
    const left = [...names]
    const cut = <T>(name: 'started' | 'again', work: Promise<T>): Promise<T> =>
      work.then((value) => {
        if (left[0] !== name) return value
        left.shift()
        throw new StoreError('STORE_UNAVAILABLE', 'Connection lost')
      })
    const own: LedgerStore = {
      ...store,
      started: (rows) => cut('started', store.started(rows)),
      again: (key, since, claim) => cut('again', store.again(key, since, claim)),
    }
    return { ledger: open(own), other: open() }
  }
  const away = { code: 'STORE_UNAVAILABLE' }

  it('is known again as our own: the write has not left, and is new', async () => {
    const { ledger, other } = await breaking('started')
    await expect(entryIn(ledger).claim()).rejects.toMatchObject(away)
    expect(await entryIn(other).recall()).toHaveProperty('begun')
    const entry = entryIn(ledger)
    expect(await entry.recall()).toBeUndefined()
    await entry.claim()
    await expect(entryIn(ledger).claim()).rejects.toMatchObject({ code: 'BEGUN_ELSEWHERE' })
  })

  it('is not mistaken for what another delivery in the same process has sent', async () => {
    const { ledger } = await breaking('started')
    await expect(entryIn(ledger).claim()).rejects.toMatchObject(away)
    const sent = entryIn(ledger)
    await sent.recall()
    await sent.claim()
    expect(await entryIn(ledger).recall()).toHaveProperty('begun')
  })

  it('renews it all the same, once', async () => {
    const { ledger, other } = await breaking('again')
    const entry = entryIn(ledger)
    await entry.claim()
    await sleep(QUIET_MS / 4)
    await expect(entry.claim()).rejects.toMatchObject(away)
    await entry.claim()
    await entry.end(replyOf('done'), true)
    expect(textOf((await entryIn(other).recall())?.reply as KeptReply)).toBe('done')
  })
})
