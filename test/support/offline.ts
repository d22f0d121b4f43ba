import { expect } from 'vitest'
import type { OfflineCounts } from '../../src/sandbox/index.ts'
import { findTokens, listTokens } from '../../src/stores/queries/tokens.ts'
import { eventually } from '../conformance/broker.ts'
import type { EventBench } from './events.ts'

/** Calls a method of the portal with the application's own token, as its administrator. */
export async function asApplication(
  bench: EventBench,
  method: string,
  params: object = {},
  // biome-ignore lint/suspicious/noExplicitAny: tests reach into any answer
): Promise<any> {
  const { store, secrets, sandbox, memberId } = bench
  const [state] = await listTokens(store.db, { memberId })
  const tokens = await findTokens(store.db, secrets, state!)
  const answer = await fetch(`${sandbox.identity().clientEndpoint}${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...params, auth: tokens!.accessToken }),
  })
  return answer.json()
}

/** An offline handler for changed deals, known to the bridge. */
export async function bindOffline(
  bench: EventBench,
  connector = '',
  event = 'ONCRMDEALUPDATE',
): Promise<void> {
  const handler = { event, event_type: 'offline', ...(connector === '' ? {} : { auth_connector: connector }) }
  const bound = await asApplication(bench, 'event.bind', handler)
  expect(bound.result, JSON.stringify(bound)).toBe(true)
}

/** The portal says that something is there, as it does by itself where `ONOFFLINEEVENT` is bound. */
export async function nudge(bench: EventBench): Promise<void> {
  const form = { event: 'ONOFFLINEEVENT', ts: String(Math.floor(Date.now() / 1000)), ...bench.auth() }
  expect(await bench.post(form, { path: bench.handler() })).toMatchObject({ status: 200 })
}

/** What became of the rows of the queue. */
export function rowCounts({ sandbox }: EventBench): OfflineCounts {
  return sandbox.stats().offline
}

/** Deals change, each in a hit of its own. */
export async function changeDeals({ sandbox }: EventBench, id: number, count = 1): Promise<void> {
  await sandbox.changeData({ do: 'change', entity: 'deal', id, count })
}

/** Waits until nothing stands in the queue. */
export async function drained(bench: EventBench, timeoutMs = 20_000): Promise<void> {
  await eventually(async () => {
    const { queued, cleared, lost, aged, uninstalled } = rowCounts(bench)
    expect(queued - cleared - lost - aged - uninstalled).toBe(0)
  }, timeoutMs)
}
