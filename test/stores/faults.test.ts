import { connect, createServer, type Server, type Socket } from 'node:net'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/stores/open.ts'
import { loadBuckets, saveBucket } from '../../src/stores/queries/buckets.ts'
import { asAdmin, DATABASES } from '../support/databases.ts'
import { mysql, postgres } from '../support/engines.ts'

const now = Date.now
const SERVERS = [
  {
    name: 'PostgreSQL',
    server: postgres,
    // Every session on that database.
    kill: (database: string) =>
      sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${database}`,
  },
  {
    name: 'MariaDB',
    server: mysql,
    kill: undefined,
  },
] as const

for (const { name, server, kill } of SERVERS) {
  describe.skipIf(server.url === undefined)(`a store on ${name} in trouble${server.note}`, () => {
    const database = DATABASES.find((one) => one.name === name)!
    let place: Awaited<ReturnType<typeof database.create>>
    beforeAll(async () => {
      place = await database.create()
    })
    afterAll(() => place.drop())

    it('says that nobody answers at the address', async () => {
      const url = new URL(place.url)
      url.port = '1'
      url.password = 'p4ss-never-shown'
      const error = await openStore(url.href, { now }).catch((caught: unknown) => caught as Error)
      expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true, hint: expect.any(String) })
      expect(everything(error)).not.toContain('p4ss-never-shown')
    })

    it('says that there is no such database or user', async () => {
      const url = new URL(place.url)
      url.pathname = '/b24_no_such_database'
      await expect(openStore(url.href, { now })).rejects.toMatchObject({ code: 'STORE_REFUSED' })
      const stranger = new URL(place.url)
      stranger.username = 'b24_stranger'
      stranger.password = 'p4ss-never-shown'
      const error = await openStore(stranger.href, { now }).catch((caught: unknown) => caught as Error)
      expect(error).toMatchObject({ code: 'STORE_REFUSED', message: expect.stringContaining('b24_stranger') })
      expect(everything(error)).not.toContain('p4ss-never-shown')
    })

    it('rejects while the server is away and goes on when it is back', async () => {
      const gate = await openGate(place.url)
      const store = await openStore(gate.url, { now })
      await saveBucket(store.db, 'before', { level: 1, updatedAt: 1 })

      await gate.shut()
      for (let i = 0; i < 3; i++) {
        await expect(loadBuckets(store.db)).rejects.toMatchObject({
          code: 'STORE_UNAVAILABLE',
          name: 'StoreError',
        })
      }
      const transaction = store.db.transaction().execute((one) => loadBuckets(one))
      await expect(transaction).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })

      await gate.reopen()
      expect((await loadBuckets(store.db)).size).toBe(1)
      await store.close()
      await gate.shut()
    })

    it('loses nothing of a transaction that was cut but all of it', async () => {
      const gate = await openGate(place.url)
      const store = await openStore(gate.url, { now })
      const cut = store.db.transaction().execute(async (transaction) => {
        await saveBucket(transaction, 'half', { level: 1, updatedAt: 1 })
        await gate.shut()
        await saveBucket(transaction, 'other half', { level: 1, updatedAt: 1 })
      })
      await expect(cut).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
      await gate.reopen()
      expect((await loadBuckets(store.db)).has('half')).toBe(false)
      await store.close()
      await gate.shut()
    })

    it.skipIf(kill === undefined)('survives that its sessions are ended while they are idle', async () => {
      const store = await openStore(place.url, { now })
      await Promise.all([loadBuckets(store.db), loadBuckets(store.db)])
      await asAdmin(server.url!, (db) => kill!(new URL(place.url).pathname.slice(1)).execute(db))
      await expect
        .poll(() =>
          loadBuckets(store.db).then(
            (found) => found.size,
            () => -1,
          ),
        )
        .toBe(1)
      await store.close()
    })
  })
}

function everything(error: unknown): string {
  const { cause } = error as Error
  return [error, cause]
    .map((one) => JSON.stringify(one, Object.getOwnPropertyNames(one ?? {})) + String(one))
    .join()
}

/** A way to the server that can be cut. */
async function openGate(
  text: string,
): Promise<{ readonly url: string; shut(): Promise<void>; reopen(): Promise<void> }> {
  const target = new URL(text)
  const port = Number(target.port || (target.protocol === 'mysql:' ? 3306 : 5432))
  const sockets = new Set<Socket>()
  let server: Server
  function listen(at: number): Promise<number> {
    server = createServer((client) => {
      const upstream = connect(port, target.hostname)
      for (const socket of [client, upstream]) {
        sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => {
          sockets.delete(socket)
          client.destroy()
          upstream.destroy()
        })
      }
      client.pipe(upstream).pipe(client)
    })
    return new Promise((resolve) => {
      server.listen(at, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
    })
  }
  const at = await listen(0)
  target.hostname = '127.0.0.1'
  target.port = String(at)
  return {
    url: target.href,
    async shut() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
    async reopen() {
      await listen(at)
    },
  }
}
