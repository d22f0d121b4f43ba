import { BridgeError } from '../model/errors.ts'
import {
  beginSpan,
  headersOf,
  isTracing,
  type OpenSpan,
  pointOf,
  type SpanFacts,
  under,
} from '../util/tracing.ts'
import type { Address, Broker, Delivery, Message, PublishOptions } from './broker.ts'

/**
 * A broker whose messages carry traces, by the
 * [conventions for messaging](https://opentelemetry.io/docs/specs/semconv/messaging/rabbitmq/): what is done about a
 * delivery is a span below the one that its headers name, from the delivery to its end; each publication is one too, and
 * its message names it. Without an SDK messages and deliveries stay as they are.
 */
export function tracedBroker(broker: Broker): Broker {
  const system = broker.features.network ? 'rabbitmq' : 'bitrix24_bridge'
  return {
    features: broker.features,
    state: () => broker.state(),
    declare: (topology) => broker.declare(topology),
    consume: (queue, options, handler) =>
      broker.consume(queue, options, (delivery) => {
        if (!isTracing()) return handler(delivery)
        const span = processing(delivery, system)
        if (span === undefined) return handler(delivery)
        under(span.point, () => handler(endingWith(delivery, span)))
      }),
    publish: (address, message, options) =>
      isTracing()
        ? publishTraced(broker, { address, message, options }, system)
        : broker.publish(address, message, options),
    queueInfo: (queue) => broker.queueInfo(queue),
    exchangeExists: (exchange) => broker.exchangeExists(exchange),
    purge: (queue) => broker.purge(queue),
    deleteQueue: (queue) => broker.deleteQueue(queue),
    deleteExchange: (exchange) => broker.deleteExchange(exchange),
    get: (queue) => broker.get(queue),
    close: () => broker.close(),
  }
}

function processing(delivery: Delivery, system: string): OpenSpan | undefined {
  const { message, queue, exchange, routingKey } = delivery
  const sender = pointOf(message.headers)
  return beginSpan({
    name: `process ${queue}`,
    role: 'consumer',
    ...(sender === undefined ? { parent: 'none' } : { parent: sender, links: [sender] }),
    facts: {
      ...factsOf(message, system),
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': queue,
      'messaging.rabbitmq.destination.routing_key': exchange === '' ? undefined : routingKey,
      'messaging.rabbitmq.message.redelivered': delivery.redelivered || undefined,
    },
  })
}

async function publishTraced(
  broker: Broker,
  { address, message, options }: { address: Address; message: Message; options: PublishOptions | undefined },
  system: string,
): Promise<void> {
  const { exchange, routingKey } = address
  const destination = exchange === '' ? routingKey : exchange
  const span = beginSpan({
    name: `send ${destination}`,
    role: 'producer',
    facts: {
      ...factsOf(message, system),
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.destination.name': destination,
      'messaging.rabbitmq.destination.routing_key': exchange === '' ? undefined : routingKey,
    },
  })
  const carried = span === undefined ? {} : headersOf(span.point)
  try {
    await broker.publish(address, { ...message, headers: { ...message.headers, ...carried } }, options)
    span?.end()
  } catch (error) {
    span?.end(error instanceof BridgeError ? error.code : 'INTERNAL_ERROR')
    throw error
  }
}

function factsOf({ messageId, correlationId, body }: Message, system: string): SpanFacts {
  return {
    'messaging.system': system,
    'messaging.message.id': messageId,
    'messaging.message.conversation_id': correlationId,
    'messaging.message.body.size': body.length,
  }
}

/** The delivery, whose span ends with it; a moment later, so that what became of it can still be told. */
function endingWith(delivery: Delivery, span: OpenSpan): Delivery {
  const end = (error?: string): void => void setImmediate(() => span.end(error))
  return {
    message: delivery.message,
    queue: delivery.queue,
    exchange: delivery.exchange,
    routingKey: delivery.routingKey,
    redelivered: delivery.redelivered,
    deliveryCount: delivery.deliveryCount,
    get lost() {
      return delivery.lost
    },
    ack() {
      delivery.ack()
      end()
    },
    requeue(delayMs) {
      delivery.requeue(delayMs)
      end('requeued')
    },
  }
}
