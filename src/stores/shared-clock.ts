import { sql } from 'kysely'
import { moment } from './dialects/engine.ts'
import type { Store } from './store.ts'

/** The time that all processes on one store agree on. */
export interface SharedClock {
  /** Milliseconds since 1970, without asking anybody. Never jumps with the clock of this machine. */
  now(): number
  close(): void
}

const LOOK_MS = 10_000
/** An answer that took longer says too little. */
const PATIENCE_MS = 500

/**
 * On a database server its clock, carried on by the steady clock of this machine and looked at every ten seconds: off by
 * no more than half a second. On a store that is ours alone the clock of this machine. Rejects with a `StoreError`.
 */
export async function openSharedClock(
  { db, features }: Pick<Store, 'db' | 'features'>,
  { wall, steady }: { readonly wall: () => number; readonly steady: () => number },
): Promise<SharedClock> {
  if (!features.shared) return { now: wall, close: () => undefined }
  let ahead = 0
  async function look(patienceMs: number): Promise<void> {
    const from = steady()
    const { rows } = await sql<{ now: number | string }>`select ${moment(db, undefined)} as now`.execute(db)
    const to = steady()
    if (to - from < patienceMs) ahead = Number(rows[0]?.now) - (from + to) / 2
  }
  await look(Infinity)
  const timer = setInterval(() => void look(PATIENCE_MS).catch(() => undefined), LOOK_MS).unref()
  return {
    now: () => Math.round(steady() + ahead),
    close: () => clearInterval(timer),
  }
}
