import { expect, it, onTestFinished } from 'vitest'
import { createLedger, type Ledger, LedgerEntry } from '../../../src/bridge/commands/ledger.ts'
import { ledgerQueries } from '../../../src/stores/bound.ts'
import { openStore } from '../../../src/stores/open.ts'

/** Two processes on one store, as far as the ledger can tell. */
async function twoLedgers(): Promise<[Ledger, Ledger]> {
  const store = await openStore('sqlite::memory:', { now: Date.now })
  onTestFinished(() => store.close())
  const open = (): Ledger => createLedger(ledgerQueries(store).store, Date.now)
  return [open(), open()]
}

const entryIn = (ledger: Ledger): LedgerEntry => new LedgerEntry(ledger, 'native commands m-1', 'hash')

it('a write is begun by one process only, and the other one is told', async () => {
  const [one, two] = (await twoLedgers()).map(entryIn) as [LedgerEntry, LedgerEntry]
  await one.started()
  await expect(two.started()).rejects.toMatchObject({ code: 'BEGUN_ELSEWHERE', mayHaveRun: false })
  expect([one.begun, two.begun]).toEqual([true, false])
})

it('a write in doubt is sent again by one process only', async () => {
  const [one, two] = await twoLedgers()
  await entryIn(one).started()
  const heirs = [entryIn(one), entryIn(two)]
  for (const heir of heirs) expect(await heir.recall()).toMatchObject({ since: expect.any(Number) })
  const ends = await Promise.allSettled(heirs.map((heir) => heir.again()))
  expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
})
