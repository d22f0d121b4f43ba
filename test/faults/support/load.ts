import { setTimeout as sleep } from 'node:timers/promises'
import type { Broker } from '../../../src/brokers/broker.ts'

export type CommandKind = 'read' | 'update' | 'add' | 'marked'

/** A command with all that is known of it from outside. */
export interface Sent {
  /** Its message id, and what it writes into the portal: nobody else writes the same. */
  readonly key: string
  readonly kind: CommandKind
  readonly portal: string | undefined
  readonly sentAt: number
  /** The broker has confirmed it, so it must be answered. */
  accepted: boolean
  /** It was published again because nobody knew whether the broker had it. */
  resent: boolean
}

export interface Share {
  /** Its weight among the others. */
  readonly weight: number
  readonly kind: CommandKind
}

/** Half reads, the rest writes: changes, new objects, and new objects that can be found again. */
export const MIX: readonly Share[] = [
  { weight: 5, kind: 'read' },
  { weight: 3, kind: 'update' },
  { weight: 1, kind: 'add' },
  { weight: 1, kind: 'marked' },
]

export interface LoadOptions {
  readonly broker: Broker
  readonly queue: string
  readonly random: () => number
  /** In front of each key. */
  readonly name: string
  /** Portals by domain; the bridge's own unless given. */
  readonly portals?: readonly string[]
  readonly mix?: readonly Share[]
  readonly deals: number
  /** All commands have this place in an order; none unless given. */
  readonly orderKey?: string
}

/** A producer that knows what it sent, and sends again, under the same id, what the broker did not confirm. */
export class Load {
  readonly #options: LoadOptions
  readonly sent = new Map<string, Sent>()
  readonly #publishing = new Set<Promise<void>>()
  #running: Promise<void> | undefined
  #stopped = false

  constructor(options: LoadOptions) {
    this.#options = options
  }

  /** Sends at a rate until `stop`. */
  start(perSecond: number): void {
    this.#stopped = false
    this.#running = this.#produce(perSecond)
  }

  /** Ends the sending, and waits until the broker has confirmed all. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
    await this.confirmed()
  }

  /** Sends so many at once. Resolves when the broker has confirmed them. */
  async send(count: number, only: Partial<Pick<Sent, 'kind' | 'portal'>> = {}): Promise<Sent[]> {
    const sent = Array.from({ length: count }, () => this.#sendOne(only))
    await this.confirmed()
    return sent
  }

  async confirmed(): Promise<void> {
    while (this.#publishing.size > 0) await Promise.all(this.#publishing)
  }

  async #produce(perSecond: number): Promise<void> {
    const began = performance.now()
    for (let count = 0; !this.#stopped; await sleep(10)) {
      const due = Math.floor(((performance.now() - began) / 1000) * perSecond)
      for (; count < due; count++) this.#sendOne({})
    }
  }

  #sendOne(only: Partial<Pick<Sent, 'kind' | 'portal'>>): Sent {
    const { random, name, portals = [undefined], mix = MIX } = this.#options
    const sent: Sent = {
      key: `${name} ${this.sent.size}`,
      kind: only.kind ?? chosen(mix, random()),
      portal: only.portal ?? portals[Math.floor(random() * portals.length)],
      sentAt: performance.now(),
      accepted: false,
      resent: false,
    }
    this.sent.set(sent.key, sent)
    const publishing = this.#publish(sent).finally(() => this.#publishing.delete(publishing))
    this.#publishing.add(publishing)
    return sent
  }

  async #publish(sent: Sent): Promise<void> {
    const { broker, queue } = this.#options
    const body = Buffer.from(JSON.stringify(this.#command(sent)))
    for (;;) {
      try {
        await broker.publish({ exchange: '', routingKey: queue }, { body, headers: {}, messageId: sent.key })
        sent.accepted = true
        return
      } catch (error) {
        if ((error as { code?: string }).code === 'BROKER_CLOSED') return
        sent.resent = true
        await sleep(100)
      }
    }
  }

  #command({ key, kind, portal }: Sent): Record<string, unknown> {
    const { random, deals, orderKey } = this.#options
    const where = {
      ...(portal === undefined ? {} : { portal }),
      ...(orderKey === undefined ? {} : { orderKey }),
    }
    const id = 1 + Math.floor(random() * deals)
    if (kind === 'read') return { ...where, method: 'crm.deal.get', params: { id } }
    const fields = { TITLE: key }
    if (kind === 'update') return { ...where, method: 'crm.deal.update', params: { id, fields } }
    const verify = kind === 'marked' ? { verify: 'origin' } : {}
    return { ...where, method: 'crm.deal.add', params: { fields }, ...verify }
  }
}

function chosen(mix: readonly Share[], at: number): CommandKind {
  let left = at * mix.reduce((sum, { weight }) => sum + weight, 0)
  for (const { weight, kind } of mix) {
    left -= weight
    if (left < 0) return kind
  }
  return 'read'
}
