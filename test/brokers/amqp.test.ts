import { openAmqpBroker } from '../../src/brokers/amqp.ts'
import { brokerConformance } from '../conformance/broker.ts'
import { amqpNote, amqpUrl } from '../support/engines.ts'

for (const queueType of ['quorum', 'plain'] as const) {
  brokerConformance(
    `RabbitMQ with ${queueType} queues`,
    { open: () => openAmqpBroker({ url: amqpUrl!, name: 'b24-test', random: Math.random, now: Date.now }) },
    { queueType, priorities: false, skip: amqpUrl === undefined, note: amqpNote },
  )
}
