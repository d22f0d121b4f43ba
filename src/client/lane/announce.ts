import type { LaneRequest } from './exchange.ts'

/** Runs the hooks of work that is about to leave for the first time; without any it costs nothing. */
export async function announce(request: LaneRequest): Promise<void> {
  const hooks: Promise<void>[] = []
  for (const item of request.items) {
    if (item.announced) continue
    item.announced = true
    const promise = item.work.beforeSend?.()
    if (promise !== undefined) hooks.push(promise)
  }
  if (hooks.length > 0) await Promise.all(hooks)
}
