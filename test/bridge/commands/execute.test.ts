import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { type ExecuteSettings, execute } from '../../../src/bridge/commands/execute.ts'
import { LedgerEntry } from '../../../src/bridge/commands/ledger-entry.ts'
import { mayHaveRun } from '../../../src/bridge/commands/settle.ts'
import type { Portal } from '../../../src/bridge/portals.ts'
import type { BatchCommand, CallCommand, Command } from '../../../src/model/command.ts'
import { CommandError, StoreError } from '../../../src/model/errors.ts'
import type { Outcome } from '../../../src/model/outcome.ts'
import { portalAt, sharedLedgers } from '../../support/ledger.ts'
import { batchText, scriptedPortal } from '../../support/scripted-portal.ts'

const QUIET_MS = 60

function settingsFor(portal: Portal, more: Partial<ExecuteSettings> = {}): ExecuteSettings {
  return {
    portals: { find: async () => portal },
    source: 'commands',
    quietMs: QUIET_MS,
    signal: new AbortController().signal,
    now: Date.now,
    newId: () => 'new-id',
    log: () => undefined,
    ...more,
  }
}

const add: CallCommand = {
  action: 'call',
  method: 'crm.deal.add',
  params: { fields: { TITLE: 'A' } },
  meta: {},
  verify: 'origin',
}

describe('a write in doubt', () => {
  it('is repeated three times at most, over all its deliveries', async () => {
    const portal = await scriptedPortal(({ method }) =>
      method === 'crm.deal.add' ? 'reset' : '{"result":[]}',
    )
    const { open } = await sharedLedgers(QUIET_MS)
    const ends: string[] = []
    // Each delivery is of another process, and waits outside of it.
    for (let delivery = 0; delivery < 8 && ends.at(-1) !== 'unknown'; delivery++) {
      const ledger = open()
      const entry = new LedgerEntry(ledger, 'native commands m-1', 'hash')
      const begun = (await entry.recall())?.begun
      const { outcome } = await execute(
        add,
        { messageId: 'm-1', entry, begun },
        settingsFor(portalAt(portal.webhook), { park: async () => true }),
      )
      ends.push(outcome === 'aside' ? outcome : outcome.kind)
      await sleep(QUIET_MS + 5)
    }
    expect(ends[0]).toBe('aside')
    expect(ends.at(-1)).toBe('unknown')
    const asked = portal.requests.map(({ method }) => method)
    expect(asked.filter((method) => method === 'crm.deal.add')).toHaveLength(4)
    // The last repetition is looked for as well.
    expect(asked.at(-1)).toBe('crm.deal.list')
  })

  it('is not counted as repeated when a claim that has aged is renewed', async () => {
    const { open, store } = await sharedLedgers(QUIET_MS)
    const entry = new LedgerEntry(open(), 'native commands m-1', 'hash')
    await entry.claim()
    await sleep(110)
    await entry.claim()
    entry.leaveOpen()
    await entry.claim()
    expect((await store.find([entry.key])).get(entry.key)).toMatchObject({ state: 'started', repeats: 1 })
  })

  const limited = '{"error":"OPERATION_TIME_LIMIT","error_description":""}'
  const resting = () =>
    scriptedPortal(({ method }) => (method === 'crm.deal.add' ? 'reset' : { status: 429, text: limited }))

  async function stoppedWhileLooking(entry: LedgerEntry | undefined): Promise<Outcome | 'aside'> {
    const portal = await resting()
    const stop = new AbortController()
    const verify = { method: 'crm.deal.list', params: {} }
    const running = execute(
      { ...add, verify },
      { messageId: undefined, entry },
      settingsFor(portalAt(portal.webhook), { signal: stop.signal }),
    )
    await expect.poll(() => portal.requests.at(-1)?.method).toBe('crm.deal.list')
    await sleep(50)
    stop.abort()
    return (await running).outcome
  }

  it('is handed back when the process ends while it is being looked up', async () => {
    const { open } = await sharedLedgers(QUIET_MS)
    const ledger = open()
    const entry = new LedgerEntry(ledger, 'native commands m-1', 'hash')
    expect(await stoppedWhileLooking(entry)).toMatchObject({ failure: { code: 'ABORTED' }, attempts: 0 })
    await entry.withdraw()
    expect(await new LedgerEntry(ledger, entry.key, 'hash').recall()).toMatchObject({ begun: { repeats: 0 } })
  })

  it('is answered as unknown, and not handed back, where no ledger would tell the next one of it', async () => {
    expect(await stoppedWhileLooking(undefined)).toMatchObject({ kind: 'unknown' })
  })
})

describe('a write with a key whose answer was lost', () => {
  const keyed: CallCommand = {
    action: 'call',
    method: 'tasks.task.add',
    api: 'v3',
    params: { fields: { title: 'A' } },
    meta: {},
  }

  it('is unknown, not failed, when its deadline passes before it is tried again', async () => {
    const portal = await scriptedPortal(() => 'reset')
    const { open } = await sharedLedgers(75_000)
    const entry = new LedgerEntry(open(), 'native commands m-1', 'hash')
    const { outcome } = await execute(
      { ...keyed, deadlineMs: 300 },
      { messageId: 'm-1', entry },
      settingsFor(portalAt(portal.webhook), { quietMs: 75_000 }),
    )
    expect(outcome).toMatchObject({ kind: 'unknown', attempts: 1 })
    expect(portal.requests).toHaveLength(1)
  })

  it('is handed back with its page open when the process ends', async () => {
    const portal = await scriptedPortal(() => 'reset')
    const { open } = await sharedLedgers(75_000)
    const entry = new LedgerEntry(open(), 'native commands m-1', 'hash')
    const stop = new AbortController()
    const running = execute(
      keyed,
      { messageId: 'm-1', entry },
      settingsFor(portalAt(portal.webhook), { quietMs: 75_000, signal: stop.signal }),
    )
    await expect.poll(() => portal.requests.length).toBe(1)
    await sleep(50)
    stop.abort()
    expect((await running).outcome).toMatchObject({ failure: { code: 'ABORTED' }, attempts: 0 })
    await entry.withdraw()
    expect(await entry.recall()).toHaveProperty('begun')
  })

  it('is unknown when the heir that tries it again is not even let in', async () => {
    const text = '{"error":"INVALID_CREDENTIALS","error_description":""}'
    const portal = await scriptedPortal(() => ({ status: 401, text }))
    const { open } = await sharedLedgers(QUIET_MS)
    const key = 'native commands m-1'
    await new LedgerEntry(open(), key, 'hash').claim()
    const entry = new LedgerEntry(open(), key, 'hash')
    const begun = (await entry.recall())?.begun
    const lane = portalAt(portal.webhook, { quietMs: QUIET_MS })
    const { outcome } = await execute(keyed, { messageId: 'm-1', entry, begun }, settingsFor(lane))
    expect(outcome).toMatchObject({ kind: 'unknown' })
  })
})

describe('a batch of several requests', () => {
  const entries = Array.from({ length: 120 }, (_, i) => ({
    name: `c${i}`,
    method: 'crm.deal.add',
    params: { fields: { TITLE: `${i}` } },
  }))
  const batch: BatchCommand = { action: 'batch', entries, halt: false, meta: {} } as unknown as BatchCommand
  const willing = () => scriptedPortal((request) => batchText(request, () => '1'))

  /** A command whose ledger says no at these claims, counted from 1. */
  async function claimed(
    command: Command,
    refuse: (claim: number) => Error | undefined,
    more: Partial<ExecuteSettings> = {},
  ) {
    const portal = await willing()
    let claims = 0
    let isClaimed = false
    // One claim before each request.
    const entry = {
      key: 'key',
      leaveOpen: () => undefined,
      claim: () => {
        isClaimed = !isClaimed
        if (!isClaimed) return undefined
        const error = refuse(++claims)
        if (error === undefined) return Promise.resolve()
        isClaimed = false
        return Promise.reject(error)
      },
    } as unknown as LedgerEntry
    const running = execute(command, { messageId: 'm-1', entry }, settingsFor(portalAt(portal.webhook), more))
    const written = (): number =>
      new Set(portal.requests.flatMap(({ commands }) => commands.map(({ params }) => JSON.stringify(params))))
        .size
    const sent = (): number => portal.requests.reduce((sum, { commands }) => sum + commands.length, 0)
    return { running, portal, written, sent }
  }
  const away = new StoreError('STORE_UNAVAILABLE', 'The store is away')

  it('waits in the middle while the store is away, and is carried out once', async () => {
    const { running, written, sent } = await claimed(batch, (claim) =>
      claim === 2 || claim === 3 ? away : undefined,
    )
    expect((await running).outcome).toMatchObject({ kind: 'done' })
    expect([written(), sent()]).toEqual([120, 120])
  })

  it('is handed back when the store is away before the first request, and nothing behind that is sent', async () => {
    const { running, sent } = await claimed(batch, (claim) => (claim === 1 ? away : undefined))
    const { outcome } = await running
    expect(outcome).toMatchObject({ kind: 'failed', failure: { code: 'STORE_UNAVAILABLE' }, attempts: 0 })
    expect(sent()).toBe(0)
  })

  it('is incomplete when the process must end meanwhile, and counts as carried out in part', async () => {
    const stop = new AbortController()
    const { running, portal, sent } = await claimed(batch, (claim) => (claim > 1 ? away : undefined), {
      signal: stop.signal,
    })
    await expect.poll(() => portal.requests.length).toBe(1)
    await sleep(50)
    stop.abort()
    const outcome = (await running).outcome as Outcome
    expect(outcome).toMatchObject({ kind: 'failed', failure: { code: 'BATCH_INCOMPLETE' }, inPart: true })
    expect(outcome.failure?.description).toContain('70 of 120')
    expect(mayHaveRun(outcome)).toBe(true)
    expect(sent()).toBe(50)
  })

  it('sends nothing more once another process has taken it over', async () => {
    const elsewhere = new CommandError('BEGUN_ELSEWHERE', 'Another process has begun this command')
    const { running, sent } = await claimed(batch, (claim) => (claim === 2 ? elsewhere : undefined))
    expect((await running).outcome).toMatchObject({ failure: { code: 'BATCH_INCOMPLETE' }, inPart: true })
    expect(sent()).toBe(50)
  })

  it('of reads alone may run again when it was cut short', async () => {
    const reads = { ...batch, entries: entries.map((entry) => ({ ...entry, method: 'crm.deal.get' })) }
    const elsewhere = new CommandError('BEGUN_ELSEWHERE', 'Another process has begun this command')
    const { running } = await claimed(reads, (claim) => (claim === 2 ? elsewhere : undefined))
    expect(mayHaveRun((await running).outcome as Outcome)).toBe(false)
  })
})
