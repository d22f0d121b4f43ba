import {
  bitrix24BridgeTopology,
  type FoundOut,
  nativeTopology,
  rabbitmqToBitrix24Topology,
} from '../bridge/contracts/topology.ts'
import type { Broker, Topology } from '../brokers/broker.ts'
import type { Config } from '../config/config.ts'
import { FIELDS } from '../config/fields.ts'
import { BrokerError } from '../model/errors.ts'
import type { SharedClock } from '../stores/shared-clock.ts'
import type { Store } from '../stores/store.ts'

/** The store of the settings, opened beside a service that may be running. */
export async function openToolStore(config: Config): Promise<Store> {
  const { openStore } = await import('../stores/open.ts')
  return openStore(config.store, { now: Date.now, exclusive: false })
}

/** The time by which the service counts. */
export async function openToolClock(store: Store): Promise<SharedClock> {
  const { openSharedClock } = await import('../stores/shared-clock.ts')
  return openSharedClock(store, { wall: Date.now, steady: () => performance.now() })
}

/** A broker for one task, and what has to be closed after it. */
export interface ToolBroker {
  readonly broker: Broker
  close(): Promise<void>
}

/**
 * The broker of the settings, connected. Rejects with a `BrokerError` `BROKER_UNREACHABLE` when there is no connection
 * within `timeoutMs`; the embedded broker opens the store.
 */
export async function openToolBroker(
  config: Config,
  options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
): Promise<ToolBroker> {
  const { openBroker } = await import('../brokers/open.ts')
  let store: Store | undefined
  let clock: SharedClock | undefined
  const broker = await openBroker(config.broker.kind === 'embedded' ? 'embedded' : config.broker.url, {
    amqp: {
      name: 'b24-bridge/tool',
      random: Math.random,
      now: () => performance.now(),
      ...(config.tlsCa !== undefined && { tls: { caFile: config.tlsCa.file } }),
    },
    embedded: async () => {
      store = await openToolStore(config)
      clock = await openToolClock(store)
      return { db: store.db, now: clock.now, takeOver: false, pollMs: 50 }
    },
  })
  const close = async (): Promise<void> => {
    await broker.close()
    clock?.close()
    await store?.close()
  }
  try {
    await connected(config, broker, options.timeoutMs ?? 10_000, options.signal)
  } catch (error) {
    await close()
    throw error
  }
  return { broker, close }
}

async function connected(
  config: Config,
  broker: Broker,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const until = Date.now() + timeoutMs
  while (!broker.state().connected) {
    signal?.throwIfAborted()
    if (Date.now() >= until) {
      const where = FIELDS.broker.kind.show(config.broker)
      const reason = broker.state().reason ?? 'no answer'
      throw new BrokerError('BROKER_UNREACHABLE', `The broker ${where} cannot be reached: ${reason}.`, {
        hint: 'Check that RabbitMQ is running and that address, user, password and virtual host in BRIDGE_BROKER are right.',
      })
    }
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

/**
 * What must exist at the broker under these settings, the queue for dead letters included. Looks first where `AMPQOUT`
 * may be a queue or an exchange.
 */
export async function topologyOf(config: Config, broker: Broker): Promise<Topology> {
  const { contract, topology } = config
  const { chooseContract } = await import('../bridge/contracts/select.ts')
  const { deadQueue } = chooseContract({ ...contract, topology }, config.maxBodyBytes)
  const own = await contractTopology(config, broker)
  if (own.queues.some((queue) => queue.name === deadQueue)) return own
  return { ...own, queues: [...own.queues, { name: deadQueue, durable: true, type: 'quorum' }] }
}

async function contractTopology({ contract, topology }: Config, broker: Broker): Promise<Topology> {
  switch (contract.name) {
    case 'native':
      return nativeTopology({ ...contract, topology })
    case 'bitrix24-bridge':
      return bitrix24BridgeTopology({ ...contract, topology })
    case 'rabbitmq-to-bitrix24':
      return rabbitmqToBitrix24Topology({ ...contract, topology }, await findOut(contract.out, broker))
  }
}

/** What the name of the replies of rabbitmq-to-bitrix24 stands for at this broker. */
export async function findOut(out: string, broker: Broker): Promise<FoundOut> {
  return {
    exchangeExists: await broker.exchangeExists(out),
    queueExists: (await broker.queueInfo(out)) !== undefined,
  }
}
