import type { Channel, ChannelModel } from 'amqplib'
import { BrokerError } from '../../model/errors.ts'
import type { BindingSpec, ExchangeSpec, QueueSpec, Topology } from '../broker.ts'
import { queueArguments } from '../topology.ts'
import { onThrowAwayChannel } from './channel.ts'
import { refusal, replyCode, type Subject } from './errors.ts'
import { deleteIfLeaderless, missingOf, writeDown } from './fresh-queues.ts'

type Mode = Topology['mode']
type Unsure = Map<string, ChannelModel>

/**
 * What has been declared or checked over this broker, kept so that it can be repeated after a reconnection. Each queue,
 * exchange and binding is remembered once, in the way it was last asked for; deleting one forgets it.
 */
export class DeclaredTopology {
  readonly #exchanges = new Map<string, { readonly mode: Mode; readonly spec: ExchangeSpec }>()
  readonly #queues = new Map<string, { readonly mode: Mode; readonly spec: QueueSpec }>()
  readonly #bindings = new Map<string, BindingSpec>()
  /** Quorum queues that are being made, and over which connection: nothing has been sent there yet. */
  readonly #unsure: Unsure = new Map()

  /** Declares or checks now; remembers it when that went well. Rejects with a `BrokerError`. */
  async declare(model: ChannelModel, topology: Topology): Promise<void> {
    await applyTopology(model, topology, this.#unsure)
    const { mode } = topology
    if (mode === 'off') return
    for (const spec of topology.exchanges) this.#exchanges.set(spec.name, { mode, spec })
    for (const spec of topology.queues) this.#queues.set(spec.name, { mode, spec })
    if (mode === 'declare') for (const spec of topology.bindings) this.#bindings.set(bindingKey(spec), spec)
  }

  /** Repeats everything, after a reconnection. One thing that cannot be made does not keep the others from it. */
  async repeat(model: ChannelModel): Promise<void> {
    for (const mode of ['declare', 'passive'] as const) {
      const exchanges = [...this.#exchanges.values()]
        .filter((kept) => kept.mode === mode)
        .map((kept) => kept.spec)
      const queues = [...this.#queues.values()].filter((kept) => kept.mode === mode).map((kept) => kept.spec)
      const bindings = mode === 'declare' ? [...this.#bindings.values()] : []
      const whole = { mode, exchanges, queues, bindings }
      await applyTopology(model, whole, this.#unsure).catch(() => applyOneByOne(model, whole, this.#unsure))
    }
  }

  /** Makes one queue and its bindings again when it is one that we declare; otherwise nothing. */
  async repeatQueue(model: ChannelModel, name: string): Promise<void> {
    const kept = this.#queues.get(name)
    if (kept?.mode !== 'declare') return
    const bindings = [...this.#bindings.values()].filter((binding) => binding.queue === name)
    const whole: Topology = { mode: 'declare', exchanges: [], queues: [kept.spec], bindings }
    await applyTopology(model, whole, this.#unsure)
  }

  forgetQueue(name: string): void {
    this.#queues.delete(name)
    for (const [key, binding] of this.#bindings) if (binding.queue === name) this.#bindings.delete(key)
  }

  forgetExchange(name: string): void {
    this.#exchanges.delete(name)
    for (const [key, binding] of this.#bindings) if (binding.exchange === name) this.#bindings.delete(key)
  }
}

async function applyOneByOne(
  model: ChannelModel,
  { mode, exchanges, queues, bindings }: Topology,
  unsure: Unsure,
): Promise<void> {
  const none = { mode, exchanges: [], queues: [], bindings: [] }
  const failures: unknown[] = []
  const attempt = (part: Partial<Topology>) =>
    applyTopology(model, { ...none, ...part }, unsure).catch((error: unknown) => failures.push(error))
  for (const exchange of exchanges) await attempt({ exchanges: [exchange] })
  for (const queue of queues) await attempt({ queues: [queue] })
  for (const binding of bindings) await attempt({ bindings: [binding] })
  if (failures.length > 0) throw failures[0]
}

/** Declares (one channel for all) or checks (a channel each, for a failed check closes it) a topology. */
async function applyTopology(model: ChannelModel, topology: Topology, unsure: Unsure): Promise<void> {
  if (topology.mode === 'off') return
  if (topology.mode === 'passive') {
    for (const { name } of topology.exchanges) {
      if (name !== '')
        await alone(model, { kind: 'exchange', name }, (channel) => channel.checkExchange(name))
    }
    for (const { name } of topology.queues) {
      await alone(model, { kind: 'queue', name }, (channel) => channel.checkQueue(name))
    }
    return
  }
  if (topology.exchanges.length + topology.queues.length + topology.bindings.length === 0) return
  const quorum = topology.queues.filter(({ type }) => type === 'quorum').map(({ name }) => name)
  const missing = await missingOf(model, quorum)
  const fresh = quorum.filter((name) => unsure.has(name) || missing.includes(name))
  try {
    for (const name of fresh) {
      const begun = unsure.get(name) ?? model
      unsure.set(name, model)
      // The connection went before its making was over, and most often the broker did.
      if (begun !== model && !missing.includes(name)) await deleteIfLeaderless(model, name)
    }
    await make(model, topology)
    if (fresh[0] !== undefined) await writeDown(model, fresh[0])
  } catch (error) {
    // Refused, it was not made by us.
    if (!isLost(error)) for (const name of fresh) unsure.delete(name)
    throw error
  }
  for (const name of fresh) unsure.delete(name)
}

function isLost(error: unknown): boolean {
  return error instanceof BrokerError ? error.code === 'CONNECTION_LOST' : replyCode(error) === 0
}

async function make(model: ChannelModel, topology: Topology): Promise<void> {
  await onThrowAwayChannel(model, async (channel) => {
    for (const spec of topology.exchanges) {
      if (spec.name === '') continue
      const asked = channel.assertExchange(spec.name, spec.type, { durable: spec.durable })
      await named({ kind: 'exchange', name: spec.name }, asked)
    }
    for (const spec of topology.queues) {
      const asked = channel.assertQueue(spec.name, { durable: spec.durable, arguments: queueArguments(spec) })
      await named({ kind: 'queue', name: spec.name }, asked)
    }
    for (const { queue, exchange, routingKey } of topology.bindings) {
      // Every queue is bound to the default exchange by its name, and to no other end.
      if (exchange === '') continue
      await named(
        { kind: 'binding', name: `${exchange} -> ${queue}` },
        channel.bindQueue(queue, exchange, routingKey),
      )
    }
  })
}

function alone(
  model: ChannelModel,
  subject: Subject,
  ask: (channel: Channel) => Promise<unknown>,
): Promise<void> {
  return onThrowAwayChannel(model, (channel) => named(subject, ask(channel)))
}

async function named(subject: Subject, asked: Promise<unknown>): Promise<void> {
  try {
    await asked
  } catch (error) {
    throw refusal(error, subject)
  }
}

function bindingKey(binding: BindingSpec): string {
  return JSON.stringify([binding.queue, binding.exchange, binding.routingKey])
}
