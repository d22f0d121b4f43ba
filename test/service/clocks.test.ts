import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pino from 'pino'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Delivery } from '../../src/brokers/broker.ts'
import { readConfig } from '../../src/config/read.ts'
import { openFoundation } from '../../src/service/foundation.ts'
import { insertLetter, pruneLetters } from '../../src/stores/queries/dead-letters.ts'
import { markStarted, pruneLedger } from '../../src/stores/queries/ledger.ts'
import { createFor, DATABASES, type TestDatabase } from '../support/databases.ts'

const DAY_MS = 86_400_000

/** What a process of the service stands on, with queues in the database. */
async function open(url: string) {
  const folder = mkdtempSync(join(tmpdir(), 'b24-clocks-'))
  const closing: (() => Promise<unknown>)[] = []
  onTestFinished(async () => {
    for (const close of closing.reverse()) await close()
    rmSync(folder, { recursive: true, force: true })
  })
  const env = {
    BRIDGE_STORE: url,
    BRIDGE_BROKER: 'embedded',
    BRIDGE_PORTAL: 'https://example.bitrix24.com/rest/1/s3cr3t/',
    BRIDGE_SECRET_KEY: `k1:${Buffer.alloc(32, 7).toString('base64')}`,
  }
  const logger = pino({ level: 'silent' })
  return openFoundation(readConfig({ env, cwd: folder }), { logger }, closing)
}

/** As for a process on a machine whose clock is a day ahead. */
async function openAhead(url: string) {
  const right = Date.now
  const spy = vi.spyOn(Date, 'now').mockImplementation(() => right() + DAY_MS)
  onTestFinished(() => spy.mockRestore())
  return open(url)
}

const SHARED: readonly TestDatabase[] = DATABASES.filter(({ name }) => name !== 'SQLite')

for (const database of SHARED)
  describe.skipIf(database.skip)(
    `a process whose clock is a day ahead, on ${database.name}${database.note}`,
    () => {
      it('takes no message that another one has in hand', async () => {
        const { url } = await createFor(database)
        const { broker } = await open(url)
        const queue = { name: 'commands', durable: true, type: 'quorum' as const }
        await broker.declare({ mode: 'declare', exchanges: [], queues: [queue], bindings: [] })
        await broker.publish(
          { exchange: '', routingKey: 'commands' },
          { body: Buffer.from('{}'), headers: {} },
        )
        const mine = await broker.get('commands')
        expect(mine).toBeDefined()
        const other = await openAhead(url)
        const taken: Delivery[] = []
        const consumer = await other.broker.consume(
          'commands',
          { prefetch: 1 },
          (one) => void taken.push(one),
        )
        // What others have left is looked for when a queue is looked at, some times a second.
        await sleep(2000)
        await consumer.stop()
        expect(taken).toEqual([])
        mine?.ack()
      })

      it('deletes no page of the ledger and no dead letter before its time', async () => {
        const { url } = await createFor(database)
        const { store, secrets, sharedNow } = await openAhead(url)
        expect(Math.abs(Date.now() - DAY_MS - sharedNow())).toBeLessThan(60_000)
        await markStarted(store.db, [{ key: 'k', requestHash: 'h', startedAt: sharedNow(), claim: 'c' }])
        const letter = {
          id: 'letter',
          kind: 'command' as const,
          state: 'open' as const,
          reason: 'BODY_NOT_JSON',
          unsure: false,
          attempts: 0,
          deliveries: 1,
          bytes: 0,
          diedAt: sharedNow(),
          storedAt: sharedNow(),
          retries: 0,
        }
        const content = { properties: '{"headers":{}}', secretHeaders: {}, body: Buffer.alloc(0) }
        await insertLetter(store.db, secrets, letter, content)
        expect(await pruneLedger(store.db, DAY_MS / 2)).toBe(0)
        expect(await pruneLetters(store.db, DAY_MS / 2)).toBe(0)
      })
    },
  )
