import { type BotFetchers, createBotFetchers } from '../bridge/events/bots/fetchers.ts'
import type { EventOutlet } from '../bridge/events/outlet.ts'
import type { SetAside } from '../bridge/events/set-aside.ts'
import { botRecords } from '../stores/bots.ts'
import type { Foundation } from './foundation.ts'

/** Bots are answered one by one, so pages need not be large; more than a chat says in the pause between them. */
const LIMIT = 200

/** Fetches the events of bots; does nothing before `start`. */
export function createBotPart(base: Foundation, outlet: EventOutlet, setAside: SetAside): BotFetchers {
  const { config, store, portals, owner, now, random, log, closing } = base
  const fetchers = createBotFetchers({
    store: botRecords(store.db),
    portals,
    outlet,
    setAside,
    limit: LIMIT,
    pollMs: config.events.botPollMs,
    owner,
    now,
    random,
    log,
  })
  closing.push(() => fetchers.close())
  return fetchers
}
