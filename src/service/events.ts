import { createEventOutlet, type EventOutlet, eventTopology } from '../bridge/events/outlet.ts'
import type { Foundation } from './foundation.ts'

/** The reverse road, as the other parts of the service see it. */
export interface Events {
  readonly outlet: EventOutlet
  /** Makes the exchange and begins to fetch, to listen and to drain. Waits for a broker that is away. */
  start(): Promise<void>
}

/** Puts the parts together that bring what happens in portals onto a queue. Does no I/O before `start`. */
export function createEvents({ broker, unlessStopped }: Foundation): Events {
  const outlet = createEventOutlet({ broker })
  return {
    outlet,
    async start() {
      await unlessStopped(broker.declare(eventTopology()))
    },
  }
}
