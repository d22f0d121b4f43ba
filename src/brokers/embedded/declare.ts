import { BrokerError } from '../../model/errors.ts'
import type { Topology } from '../broker.ts'
import { exchangeMissing, queueMissing, topologyMismatch } from '../errors.ts'
import { argumentsText } from '../topology.ts'
import { type EmbeddedDatabase, findExchange, queueExists } from './queries.ts'

/** Makes or checks a topology in one transaction: all of it or nothing. Rejects with a `BrokerError`. */
export async function declareTopology(db: EmbeddedDatabase, topology: Topology): Promise<void> {
  if (topology.mode === 'off') return
  await db.transaction().execute(async (transaction) => {
    if (topology.mode === 'passive') await check(transaction, topology)
    else await make(transaction, topology)
  })
}

async function check(db: EmbeddedDatabase, { exchanges, queues }: Topology): Promise<void> {
  for (const { name } of exchanges) {
    if (name !== '' && (await findExchange(db, name)) === undefined) throw exchangeMissing(name)
  }
  for (const { name } of queues) if (!(await queueExists(db, name))) throw queueMissing(name)
}

async function make(db: EmbeddedDatabase, { exchanges, queues, bindings }: Topology): Promise<void> {
  for (const { name, type, durable } of exchanges) {
    if (name === '') continue
    if (type === 'headers') {
      throw new BrokerError(
        'UNSUPPORTED',
        `The embedded broker has no exchanges of type headers ('${name}')`,
        {
          hint: 'Use a topic exchange, or RabbitMQ.',
        },
      )
    }
    const row = { name, type, durable: durable ? 1 : 0 }
    await db
      .insertInto('embedded_exchanges')
      .values(row)
      .onConflict((conflict) => conflict.column('name').doNothing())
      .execute()
    const kept = await db
      .selectFrom('embedded_exchanges')
      .selectAll()
      .where('name', '=', name)
      .executeTakeFirstOrThrow()
    if (kept.type !== row.type || kept.durable !== row.durable) {
      throw topologyMismatch(
        `The exchange '${name}' exists as ${kept.durable ? 'durable' : 'transient'} ${kept.type}`,
      )
    }
  }
  for (const spec of queues) {
    const row = {
      name: spec.name,
      durable: spec.durable ? 1 : 0,
      type: spec.type,
      arguments: argumentsText(spec),
    }
    await db
      .insertInto('embedded_queues')
      .values(row)
      .onConflict((conflict) => conflict.column('name').doNothing())
      .execute()
    const kept = await db
      .selectFrom('embedded_queues')
      .selectAll()
      .where('name', '=', spec.name)
      .executeTakeFirstOrThrow()
    if (kept.durable !== row.durable || kept.arguments !== row.arguments) {
      throw topologyMismatch(
        `The queue '${spec.name}' exists with the arguments ${kept.arguments}, not ${row.arguments}`,
      )
    }
  }
  for (const { queue, exchange, routingKey } of bindings) {
    if (!(await queueExists(db, queue))) throw queueMissing(queue)
    if (exchange === '') continue
    if ((await findExchange(db, exchange)) === undefined) throw exchangeMissing(exchange)
    const row = { queue, exchange, routing_key: routingKey }
    await db
      .insertInto('embedded_bindings')
      .values(row)
      .onConflict((conflict) => conflict.columns(['exchange', 'queue', 'routing_key']).doNothing())
      .execute()
  }
}
