import { sql } from 'kysely'
import { expect, it, onTestFinished } from 'vitest'
import { callbackPlace } from '../../../src/bridge/outbox/callback.ts'
import { createCallbacks } from '../../../src/bridge/outbox/deliver.ts'
import { openStore } from '../../../src/stores/open.ts'
import { outboxQueries } from '../../../src/stores/outbox.ts'
import { eventually } from '../../conformance/broker.ts'

const SECRET = `whsec_${Buffer.alloc(32, 3).toString('base64')}`

/** An inbox whose replies are posted; hosts called `hangs` do not answer before `release`. */
async function open() {
  const store = await openStore('sqlite::memory:', { now: Date.now })
  onTestFinished(() => store.close())
  const { db } = store
  let release = (): void => undefined
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const under = new Map<string, number>()
  const most = new Map<string, number>()
  let clock = Date.now()
  const callbacks = createCallbacks({
    store: outboxQueries(store, 'one'),
    broker: { publish: async () => released },
    sender: {
      async post({ host }) {
        under.set(host, (under.get(host) ?? 0) + 1)
        most.set(host, Math.max(most.get(host) ?? 0, under.get(host) ?? 0))
        if (host.startsWith('hangs')) await released
        under.set(host, (under.get(host) ?? 0) - 1)
        return 200
      },
    },
    rules: { secrets: [SECRET], privateHosts: [] },
    pollMs: 20,
    now: () => clock,
    random: () => 0.5,
    onAttempt: () => undefined,
    log: () => undefined,
  })
  onTestFinished(async () => {
    release()
    await callbacks.close()
  })
  return {
    callbacks,
    most,
    release: () => release(),
    pass: (ms: number) => {
      clock += ms
    },
    async insert(callback: string, count: number) {
      for (let i = 0; i < count; i++)
        await sql`insert into b24_inbox (kind, name, callback, callback_state, callback_at)
          values ('reply', 'm', ${callback}, 'waiting', ${i})`.execute(db)
    },
    async count(state: string, attempts: number) {
      const { rows } = await sql<{ count: number }>`select count(*) as count from b24_inbox
        where callback_state = ${state} and callback_attempts = ${attempts}`.execute(db)
      return rows[0]?.count
    },
  }
}

it('a host that hangs, and a broker that does, leave places to the others', async () => {
  const { callbacks, most, insert, count, release } = await open()
  await insert('https://hangs.example/hook', 200)
  await insert('https://hangs-too.example?q', 30)
  await insert('queue:replies', 60)
  callbacks.start()
  await eventually(() => expect([...most]).toHaveLength(2))
  await insert('https://answers.example/', 20)
  callbacks.wake()
  await eventually(async () => expect(await count('sent', 1)).toBe(20))
  expect(Object.fromEntries(most)).toMatchObject({ 'hangs.example': 5, 'hangs-too.example': 5 })
  release()
  await eventually(async () => expect(await count('sent', 1)).toBe(310))
})

it('what has waited too long for its host goes back, and no attempt is counted', async () => {
  const { callbacks, insert, count, pass } = await open()
  await insert('https://hangs.example/hook', 30)
  callbacks.start()
  await eventually(async () => expect(await count('waiting', 1)).toBe(30))
  pass(31_000)
  await eventually(async () => expect(await count('waiting', 0)).toBe(25))
})

it.each([
  ['https://Example.com:443/x', 'example.com', 'https://Example.com:443/'],
  [' http://10.0.0.1:8080?x', '10.0.0.1:8080', ' http://10.0.0.1:8080/'],
  ['queue:replies', 'queue', 'queue:'],
  ['https://', '', undefined],
  ['row', '', undefined],
])('%j is counted at %j', (text, name, begin) => {
  expect(callbackPlace(text)).toMatchObject({ name })
  expect(callbackPlace(text).begins[0]).toBe(begin)
})
