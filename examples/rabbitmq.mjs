// A producer that knows RabbitMQ and nothing else: it publishes commands and reads the replies.
//
//   b24-bridge sandbox                                                    in one terminal
//   BRIDGE_PORTAL=http://127.0.0.1:9000/rest/1/s3cr3t/ \
//   BRIDGE_BROKER=amqp://guest:guest@127.0.0.1:5672/ b24-bridge run       in another one
//   node examples/rabbitmq.mjs                                            in a third
import { randomUUID } from 'node:crypto'
import { connect } from 'amqplib'

const commandQueue = process.env.BRIDGE_COMMAND_QUEUE ?? 'b24.commands'
const connection = await connect(process.env.BRIDGE_BROKER ?? 'amqp://guest:guest@127.0.0.1:5672/')
const channel = await connection.createConfirmChannel()

// Replies to us come to a queue of our own. Without reply_to they would go to the queue b24.replies.
const { queue: replyTo } = await channel.assertQueue('', { exclusive: true })

const orders = ['Chairs', 'Tables', 'Lamps', 'Carpets']
const commands = new Map()
for (const title of orders) {
  const command = { method: 'crm.deal.add', params: { fields: { TITLE: title } }, meta: { title } }
  // The message id makes it safe to publish the same command again after a doubt: it is carried out once.
  commands.set(randomUUID(), command)
}

const replies = new Promise((resolve) => {
  const received = []
  channel.consume(replyTo, (message) => {
    // The reply names the command that it answers. It may come twice after a fault: know it by this id.
    if (commands.delete(message.properties.correlationId))
      received.push(JSON.parse(message.content.toString()))
    channel.ack(message)
    if (commands.size === 0) resolve(received)
  })
})

for (const [messageId, command] of commands) {
  const body = Buffer.from(JSON.stringify(command))
  channel.publish('', commandQueue, body, { messageId, replyTo, persistent: true, mandatory: true })
}
await channel.waitForConfirms()
console.log(`${orders.length} commands are in the queue`)

for (const { outcome, meta, result, error } of await replies) {
  if (outcome === 'done') console.log(`${meta.title}: deal ${result}`)
  else console.log(`${meta.title}: ${outcome}, ${error.code}: ${error.description}`)
}
await connection.close()
