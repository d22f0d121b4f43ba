// A provider of text messages: sends what the portal wants to be sent, and reports what became of it.
import { connect } from 'amqplib'

const commandQueue = process.env.BRIDGE_COMMAND_QUEUE ?? 'b24.commands'
const exchange = process.env.BRIDGE_EVENTS_EXCHANGE ?? 'b24.events'
const queue = process.env.EXAMPLE_QUEUE ?? 'message-provider'
const connection = await connect(process.env.BRIDGE_BROKER ?? 'amqp://guest:guest@127.0.0.1:5672/')
const channel = await connection.createConfirmChannel()

// A durable queue of our own gathers messages while this program is away. The bridge makes the exchange.
await channel.assertQueue(queue, { durable: true })
await channel.bindQueue(queue, exchange, 'message.*.example-sms')
await channel.prefetch(20)

// A command that no queue takes would be gone: better to end here, then the message comes again.
channel.on('return', () => {
  console.error(`There is no queue ${commandQueue}: is the bridge running?`)
  process.exit(1)
})

/** Hands a message to the carrier. A real one is given the id too, so that it sends nothing twice; here a set does it. */
const sent = new Set()
async function sendByCarrier(id, to, text) {
  if (sent.has(id)) return
  sent.add(id)
  console.log(`to ${to}: ${text}`)
}

// What became of the reports.
const { queue: replyTo } = await channel.assertQueue('', { exclusive: true })
await channel.consume(replyTo, (message) => {
  const { outcome, meta, error } = JSON.parse(message.content.toString())
  console.log(`${meta.status} reported: ${outcome}${error === undefined ? '' : `, ${error.description}`}`)
  channel.ack(message)
})

await channel.consume(queue, async (message) => {
  const { portal, application, data } = JSON.parse(message.content.toString())
  await sendByCarrier(data.message_id, data.message_to, data.message_body)
  for (const status of ['sent', 'delivered']) {
    const command = {
      method: 'messageservice.message.status.update',
      params: { CODE: data.code, MESSAGE_ID: data.message_id, STATUS: status },
      portal: portal.member_id,
      // Only the application whose provider it is may report, in the name of an administrator or of the author.
      application,
      // Reports on one message do not overtake each other.
      orderKey: data.message_id,
      meta: { status },
    }
    // The same id for the same report: however often it is sent, it is made once.
    const messageId = `${data.message_id}-${status}`
    const body = Buffer.from(JSON.stringify(command))
    channel.publish('', commandQueue, body, { messageId, replyTo, persistent: true, mandatory: true })
  }
  await channel.waitForConfirms()
  channel.ack(message)
})
console.log('The message provider listens.')
