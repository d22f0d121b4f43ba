import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { chooseContract } from '../../bridge/contracts/select.ts'
import { checkReplyRoute } from '../../bridge/contracts/topology.ts'
import type { Broker, BrokerState, Topology } from '../../brokers/broker.ts'
import type { Config } from '../../config/config.ts'
import { FIELDS } from '../../config/fields.ts'
import { BrokerError } from '../../model/errors.ts'
import { findOut, openToolBroker, topologyOf } from '../parts.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** The broker: connection, queues and exchanges, and the rights to use them. */
export async function checkBroker(config: Config, cwd: string, signal: AbortSignal): Promise<Finding[]> {
  const ownFile = config.broker.kind === 'embedded' && config.store.startsWith('sqlite:')
  if (ownFile && !existsSync(resolve(cwd, config.store.replace(/^sqlite:/, ''))))
    return [ok('broker', 'embedded: its queues will be created in the store')]
  try {
    const { broker, close } = await openToolBroker(config, { signal, timeoutMs: 5000 })
    try {
      const where = FIELDS.broker.kind.show(config.broker)
      return [
        ok('broker', where),
        ...checkServer(broker.state().server),
        ...(await checkQueues(config, broker)),
        ...(await checkRights(config, broker)),
      ]
    } finally {
      await close()
    }
  } catch (error) {
    return [fail('broker', error)]
  }
}

/**
 * The server's version. From RabbitMQ 4.0 on quorum queues have a limit of deliveries, and over AMQP nobody can see whether
 * a policy says what becomes of what comes back more often.
 *
 * https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
 */
export function checkServer(server: BrokerState['server']): Finding[] {
  if (server === undefined) return []
  const { product, version } = server
  const text = `${product} ${version}`
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (product !== 'RabbitMQ') return [ok('server', text)]
  if (major < 3 || (major === 3 && minor < 10))
    return [
      warn(
        'server',
        `${text} is older than what the bridge is tried with`,
        'Install RabbitMQ 3.10 or newer.',
      ),
    ]
  const limit = major >= 4 ? 'drops what comes back more than 20 times' : 'drops what expires in a queue'
  return [
    {
      ...ok('server', `${text}, which ${limit}, unless a policy says where to`),
      hint: 'See `rabbitmqctl list_policies`; ops/rabbitmq/policies.sh sets them (docs/operating.md#policies-of-the-broker).',
    },
  ]
}

async function checkQueues(config: Config, broker: Broker): Promise<Finding[]> {
  try {
    const { contract, topology: mode, maxBodyBytes } = config
    if (contract.name === 'rabbitmq-to-bitrix24')
      checkReplyRoute({ ...contract, topology: mode }, await findOut(contract.out, broker))
    const topology = await topologyOf(config, broker)
    // Our own queue is made even where the older program's may only be looked at.
    const { deadQueue } = chooseContract({ ...contract, topology: mode }, maxBodyBytes)
    const willBeMade = (name: string): boolean =>
      mode === 'declare' || (mode === 'passive' && contract.name !== 'native' && name === deadQueue)

    const findings: Finding[] = []
    for (const { name } of topology.exchanges)
      findings.push(
        (await broker.exchangeExists(name))
          ? ok('queues', `exchange ${name}`)
          : absent('exchange', name, willBeMade(name)),
      )
    for (const { name } of topology.queues) {
      const info = await broker.queueInfo(name)
      findings.push(
        info === undefined
          ? absent('queue', name, willBeMade(name))
          : ok('queues', `queue ${name}: ${info.messages} messages, ${info.consumers} consumers`),
      )
    }
    await checkKinds(broker, topology)
    return findings
  } catch (error) {
    return [fail('queues', error)]
  }
}

function absent(what: string, name: string, willBeMade: boolean): Finding {
  if (willBeMade) return ok('queues', `${what} ${name} does not exist yet and will be created`)
  return fail(
    'queues',
    new BrokerError(`${what.toUpperCase()}_MISSING`, `There is no ${what} ${name}.`, {
      hint: 'Create it with `b24-bridge topology init`, or correct its name.',
    }),
  )
}

/** Declares again what exists: changes nothing, and fails where it was made with other arguments. */
async function checkKinds(broker: Broker, topology: Topology): Promise<void> {
  if (topology.mode !== 'declare') return
  const queues = []
  for (const queue of topology.queues)
    if ((await broker.queueInfo(queue.name)) !== undefined) queues.push(queue)
  const exchanges = []
  for (const exchange of topology.exchanges)
    if (await broker.exchangeExists(exchange.name)) exchanges.push(exchange)
  await broker.declare({ ...topology, queues, exchanges, bindings: [] })
}

/** One message through a queue of our own that is gone afterwards: rights to create, write and read. */
async function checkRights(config: Config, broker: Broker): Promise<Finding[]> {
  if (config.topology !== 'declare') return []
  const name = `b24.doctor.${randomUUID()}`
  try {
    await broker.declare({
      mode: 'declare',
      exchanges: [],
      queues: [{ name, durable: true, type: 'plain', arguments: { 'x-expires': 60_000 } }],
      bindings: [],
    })
    await broker.publish({ exchange: '', routingKey: name }, { body: Buffer.from('ok'), headers: {} })
    const delivery = await broker.get(name)
    delivery?.ack()
    await broker.deleteQueue(name)
    return [ok('rights', 'a queue was created, written, read and deleted')]
  } catch (error) {
    const { text, hint } = fail('rights', error)
    return [
      warn(
        'rights',
        text,
        hint ??
          'Let this user configure, write and read b24.*, or create the queues by hand and set BRIDGE_TOPOLOGY=passive.',
      ),
    ]
  }
}
