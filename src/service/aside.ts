import { type Aside, DelayQueues } from '../bridge/commands/aside.ts'
import { type CommandConsumer, type CommandServer, consumeCommands } from '../bridge/commands/consume.ts'
import type { ConsumeSettings } from '../bridge/commands/handle.ts'
import { oldestOf } from '../bridge/commands/lane-queue.ts'
import { LaneQueues } from '../bridge/commands/lane-queues.ts'
import { moveSuspects, type Suspects, suspectQueue, watchForSuspects } from '../bridge/commands/suspects.ts'
import { trySuspects } from '../bridge/commands/trials.ts'
import { BrokerError } from '../model/errors.ts'
import { forgetLaneQueue, listLaneQueues, noteLaneQueue } from '../stores/queries/lane-queues.ts'
import { underLease } from '../stores/queries/leases.ts'
import { beginTrial, crowdTrial, endTrial, endTrials, findTrial } from '../stores/queries/trials.ts'
import type { Foundation } from './foundation.ts'

/**
 * Of a queue that several processes read nobody can say in which order its commands go on. So there is one beside it for
 * those with an order, which the broker gives to one process at a time.
 *
 * https://www.rabbitmq.com/docs/consumers#single-active-consumer
 */
async function serveOrdered(common: ConsumeSettings): Promise<CommandConsumer[]> {
  const { broker, queue: originQueue } = common
  const queue = `${originQueue}.ordered`
  await broker.declare({
    mode: 'declare',
    exchanges: [],
    queues: [{ name: queue, durable: true, type: 'quorum', arguments: { 'x-single-active-consumer': true } }],
    bindings: [],
  })
  return [await consumeCommands({ ...common, queue, originQueue, inOrder: true })]
}

/** What the names of the queues of portals begin with. */
function lanePrefix(commandQueue: string): string {
  return commandQueue === 'b24.commands' ? 'b24.lane' : `${commandQueue}.lane`
}

/** True for the command queue and for those that stand beside it. */
export function isCommandQueue(commandQueue: string, queue: string): boolean {
  return [`${commandQueue}.`, `${lanePrefix(commandQueue)}.`].some((prefix) => `${queue}.`.startsWith(prefix))
}

/** Making or deleting a queue takes milliseconds; a process that dies in the middle holds it up for so long. */
const ALONE_MS = 30_000
/** A portal's own queue is read in small bites: what is in hand from it is work for one lane only. */
const LANE_PREFETCH = 100
/** Of those most wait for their turn; a process that dies takes no more than these with it. */
const SUSPECT_PREFETCH = 50
/** Another process may have found a suspect, and died of it. */
const LOOK_MS = 30_000

/** Suspects are tried, and the store remembers with whom. */
function trialsOf({ store: { db }, owner, now }: Foundation, log: ConsumeSettings['log']): Suspects {
  return trySuspects({
    store: {
      find: (id) => findTrial(db, id, owner),
      begin: (id, deaths, at) => beginTrial(db, { id, owner, deaths, now: at }),
      crowd: (id) => crowdTrial(db, id, owner),
      end: (id) => endTrial(db, id, owner),
      endAll: () => endTrials(db, owner),
    },
    owner,
    now,
    log,
  })
}

/** A queue of all kinds of commands is looked at for suspects, which go to `next`. */
function watched({ broker, store: { db }, owner, now }: Foundation, next: Suspects): Suspects {
  const pageOf = (id: string): string => `taken ${id}`
  return watchForSuspects({
    broker,
    next,
    now,
    store: {
      async taken(id) {
        const before = await findTrial(db, pageOf(id), owner)
        const times = before === undefined ? 0 : before.deaths + (before.owner === owner ? 0 : 1)
        await beginTrial(db, { id: pageOf(id), owner, deaths: times, now: now() })
        return times
      },
      forget: (id) => endTrial(db, pageOf(id), owner),
    },
  })
}

/** Serves a queue where none may be made beside it: what has to wait waits here, and suspects are tried where they are. */
export function serveAlone(base: Foundation, settings: ConsumeSettings): Promise<CommandServer> {
  return consumeCommands({ ...settings, suspects: watched(base, trialsOf(base, settings.log)) })
}

/**
 * Serves the command queue, and beside it what was moved out of its way: queues of portals with a backlog, and the queue
 * of messages that processes may have died of. What has to wait alone goes round by delay queues.
 */
export async function serveWithAside(base: Foundation, settings: ConsumeSettings): Promise<CommandServer> {
  const { broker, now, sharedNow, newId, owner, store, portals, metrics } = base
  const { queue: commandQueue, prefetch, log } = settings
  const suspected = suspectQueue(commandQueue)
  const delays = new DelayQueues({ broker, prefix: 'b24.retry', now })
  const park: Aside['park'] = async (delivery, waitMs, moving) => {
    try {
      const parked = await delays.park(delivery, waitMs, moving?.moveId)
      if (parked) metrics.moved('delay')
      return parked
    } catch (error) {
      log('command.unparked', {
        queue: delivery.queue,
        reason: error instanceof BrokerError ? error.code : String(error),
      })
      if (moving !== undefined && error instanceof BrokerError && error.mayBeStored) throw error
      return false
    }
  }
  let suspects: CommandConsumer | undefined
  let opening: Promise<void> = Promise.resolve()
  let ended = false
  /** The queue is made for the first suspect, and found again by every process after that. */
  const serveSuspects = async (made: 'make' | 'if there'): Promise<void> => {
    if (suspects !== undefined || ended) return
    if (made === 'make')
      await broker.declare({
        mode: 'declare',
        exchanges: [],
        queues: [{ name: suspected, durable: true, type: 'quorum' }],
        bindings: [],
      })
    else if ((await broker.queueInfo(suspected)) === undefined) return
    suspects = await consumeCommands({
      ...beside,
      queue: suspected,
      prefetch: SUSPECT_PREFETCH,
      suspects: trialsOf(base, log),
    })
  }
  const open = (made: 'make' | 'if there'): Promise<void> => {
    const next = opening.catch(() => undefined).then(() => serveSuspects(made))
    opening = next
    return next
  }
  const aSuspect = watched(
    base,
    moveSuspects(suspected, {
      broker,
      now,
      ensure: () => open('make'),
      log(event, fields) {
        metrics.moved('suspect')
        log(event, fields)
      },
    }),
  )
  /** Moved away, a suspect would lose its place in the order. */
  const inPlace = (): Suspects => watched(base, trialsOf(base, log))
  const beside = { ...settings, originQueue: commandQueue, aside: { park, admit: async () => false } }
  const lanes = new LaneQueues({
    broker,
    store: {
      note: (queue, domain, usedAt) => noteLaneQueue(store.db, { queue, domain, usedAt }),
      list: () => listLaneQueues(store.db),
      forget: (queue) => forgetLaneQueue(store.db, queue),
      alone: (queue, work) =>
        // Two of this process are two: a lease is given to its holder again.
        underLease(
          store.db,
          { name: `lane-queue ${queue}`, owner: `${owner} ${newId()}`, ttlMs: ALONE_MS },
          work,
        ),
    },
    prefix: lanePrefix(commandQueue),
    prefetch,
    shared: store.features.shared,
    park,
    onSize: metrics.laneQueues,
    portals: () => portals.list(),
    serve: (queue) =>
      consumeCommands({
        ...beside,
        queue,
        inOrder: true,
        prefetch: Math.min(prefetch, LANE_PREFETCH),
        suspects: inPlace(),
      }),
    now: sharedNow,
    newId,
    log,
  })
  // What stands in lane queues came before what comes now.
  await lanes.start()
  await open('if there')
  const looking = setInterval(() => void open('if there').catch(() => undefined), LOOK_MS)
  const common: ConsumeSettings = {
    ...settings,
    suspects: aSuspect,
    aside: {
      park,
      async admit(delivery, command) {
        const moved = await lanes.admit(delivery, command)
        if (moved) metrics.moved('lane')
        return moved
      },
    },
  }
  const main = await consumeCommands(common)
  const ordered =
    store.features.shared && settings.contract.name === 'native'
      ? await serveOrdered({ ...common, suspects: inPlace() })
      : []
  const parts = () => [main, ...ordered, lanes, ...(suspects === undefined ? [] : [suspects])]
  return {
    get inHand() {
      return parts().reduce((sum, part) => sum + part.inHand, 0)
    },
    get oldestAt() {
      return oldestOf(parts())
    },
    async pause() {
      await main.pause()
    },
    resume: () => main.resume(),
    answerExpired: (delivery) => main.answerExpired(delivery),
    async drain(boundMs) {
      ended = true
      clearInterval(looking)
      return (await Promise.all(parts().map((part) => part.drain(boundMs)))).every(Boolean)
    },
  }
}
