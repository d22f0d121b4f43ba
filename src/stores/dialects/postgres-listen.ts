import pg from 'pg'
import type { ServerAddress } from '../address.ts'
import type { Listening } from '../store.ts'
import { postgresConnection } from './postgres.ts'

const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 30_000

/**
 * Hears what is told on a channel, over a connection of its own that is made again whenever it ends. `onTold` is called
 * after each connecting too: something may have been told while nobody heard. Never rejects: who listens polls as well.
 *
 * https://www.postgresql.org/docs/current/sql-listen.html
 */
export function listenPostgres(address: ServerAddress, channel: string, onTold: () => void): Listening {
  let pauseMs = FIRST_PAUSE_MS
  let timer: NodeJS.Timeout | undefined
  let client: pg.Client | undefined
  let closed = false

  async function open(): Promise<void> {
    const opened = new pg.Client({ ...postgresConnection(address), keepAlive: true })
    client = opened
    opened.on('notification', onTold)
    opened.on('error', () => {})
    opened.once('end', again)
    try {
      await opened.connect()
      await opened.query(`listen ${pg.escapeIdentifier(channel)}`)
      pauseMs = FIRST_PAUSE_MS
      onTold()
    } catch {
      // Ends it where the connection still stands; `again` follows, once.
      await opened.end().catch(() => {})
      again()
    }
  }

  function again(): void {
    if (closed || timer !== undefined) return
    timer = setTimeout(() => {
      timer = undefined
      void open()
    }, pauseMs)
    pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)
  }

  void open()
  return {
    async close() {
      closed = true
      clearTimeout(timer)
      await client?.end().catch(() => {})
    },
  }
}
