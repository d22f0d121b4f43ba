import { createHmac, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { sql } from 'kysely'
import { expect, onTestFinished } from 'vitest'
import type { Environment } from '../../src/config/read.ts'
import { openStore } from '../../src/stores/open.ts'
import type { Store } from '../../src/stores/store.ts'
import { eventually } from '../conformance/broker.ts'
import { type Bench, type BrokerKind, openBench } from './bridge.ts'
import { createFor, type TestDatabase } from './databases.ts'

/** A row of either table; numbers are numbers, JSON is text. */
// biome-ignore lint/suspicious/noExplicitAny: tests reach into any column
export type Row = Record<string, any>

/** A bridge with its outbox on, and somebody who only speaks SQL. */
export interface OutboxBench {
  readonly bench: Bench
  readonly store: Store
  /** A plain INSERT; gives the id. */
  insert(row: Record<string, string | number>): Promise<number>
  outbox(): Promise<Row[]>
  inbox(): Promise<Row[]>
  row(id: number): Promise<Row>
  /** The reply to a row, waiting for it. */
  reply(id: number): Promise<Row>
  /** Titles of the deals that were added, in their order. */
  titles(): string[]
}

export async function openOutboxBench(
  database: TestDatabase,
  options: { readonly broker?: BrokerKind; readonly env?: Environment; readonly started?: boolean } = {},
): Promise<OutboxBench> {
  // The embedded broker's tables are in the bench's own file.
  const place = database.name === 'SQLite' ? undefined : await createFor(database)
  const bench = await openBench({
    broker: options.broker ?? 'embedded',
    started: options.started ?? true,
    env: {
      ...(place === undefined ? {} : { BRIDGE_STORE: place.url }),
      BRIDGE_SECRET_KEY: `k1:${Buffer.alloc(32, 7).toString('base64')}`,
      BRIDGE_OUTBOX: 'on',
      BRIDGE_OUTBOX_POLL: '0.1',
      ...options.env,
    },
  })
  onTestFinished(() => bench[Symbol.asyncDispose]())
  const store = await openStore(bench.env.BRIDGE_STORE as string, { now: Date.now, exclusive: false })
  onTestFinished(() => store.close())
  const { db } = store
  const rowsOf = async (table: string): Promise<Row[]> => {
    const { rows } = await sql<Row>`select * from ${sql.table(table)} order by id`.execute(db)
    return rows.map((row) => ({ ...row, id: Number(row.id) }))
  }
  const one: OutboxBench = {
    bench,
    store,
    async insert(row) {
      await insertRow(store, row)
      return (await rowsOf('b24_outbox')).at(-1)?.id
    },
    outbox: () => rowsOf('b24_outbox'),
    inbox: () => rowsOf('b24_inbox'),
    row: async (id) => (await rowsOf('b24_outbox')).find((row) => row.id === id) as Row,
    async reply(id) {
      let reply: Row | undefined
      await eventually(async () => {
        reply = (await rowsOf('b24_inbox')).find((row) => Number(row.outbox_id) === id)
        expect(reply, `a reply to row ${id}`).toBeDefined()
      })
      return reply as Row
    },
    titles: () =>
      (bench.sandbox.stats(undefined, true).log ?? [])
        .filter(({ method }) => method === 'crm.deal.add')
        .map(({ title }) => String(title)),
  }
  return one
}

/** As a program without any library of ours writes it. */
export async function insertRow(
  { db }: Pick<Store, 'db'>,
  row: Record<string, string | number>,
): Promise<void> {
  const names = sql.join(Object.keys(row).map((name) => sql.ref(name)))
  await sql`insert into b24_outbox (${names}) values (${sql.join(Object.values(row))})`.execute(db)
}

/** Several rows in one statement. */
export async function insertDeals({ db }: Pick<Store, 'db'>, titles: readonly string[]): Promise<void> {
  const rows = titles.map((title) => sql`('crm.deal.add', ${JSON.stringify({ fields: { TITLE: title } })})`)
  await sql`insert into b24_outbox (method, params) values ${sql.join(rows)}`.execute(db)
}

/** A post as it came. */
export interface Post {
  readonly headers: IncomingHttpHeaders
  readonly path: string
  readonly body: string
}

/** A program that is told of replies; answers with the statuses of the list, then with 200. */
export async function openListener(
  statuses: number[] = [],
): Promise<{ readonly url: string; readonly posts: Post[] }> {
  const posts: Post[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    posts.push({ headers: request.headers, path: request.url ?? '', body })
    const status = statuses.shift() ?? 200
    response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end('noted')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, posts }
}

/** Verifies a post as the specification of Standard Webhooks tells its reader to. */
export function isSigned(secret: string, { headers, body }: Post): boolean {
  const [id, timestamp, list] = ['id', 'timestamp', 'signature'].map((name) => headers[`webhook-${name}`])
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
  const wanted = createHmac('sha256', key)
    .update(Buffer.from(`${id}.${timestamp}.${body}`))
    .digest()
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false
  return String(list)
    .split(' ')
    .map((one) => one.split(','))
    .some(([version, signature = '']) => {
      const given = Buffer.from(signature, 'base64')
      return version === 'v1' && given.length === wanted.length && timingSafeEqual(given, wanted)
    })
}
