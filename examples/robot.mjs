// A robot that prices a deal: reads the deal, multiplies the hours, and hands the price back to the workflow that waits.
import { randomUUID } from 'node:crypto'
import { connect } from 'amqplib'

const commandQueue = process.env.BRIDGE_COMMAND_QUEUE ?? 'b24.commands'
const exchange = process.env.BRIDGE_EVENTS_EXCHANGE ?? 'b24.events'
const queue = process.env.EXAMPLE_QUEUE ?? 'robot'
const connection = await connect(process.env.BRIDGE_BROKER ?? 'amqp://guest:guest@127.0.0.1:5672/')
const channel = await connection.createConfirmChannel()

// A durable queue of our own gathers work while this program is away. The bridge makes the exchange.
await channel.assertQueue(queue, { durable: true })
await channel.bindQueue(queue, exchange, 'robot.*.example-price')
await channel.prefetch(20)

// A command that no queue takes would be gone: better to end here, then the work comes again.
channel.on('return', () => {
  console.error(`There is no queue ${commandQueue}: is the bridge running?`)
  process.exit(1)
})

const waiting = new Map()
const { queue: replyTo } = await channel.assertQueue('', { exclusive: true })
await channel.consume(replyTo, (message) => {
  // A reply may come twice after a fault; nobody waits for the second one.
  waiting.get(message.properties.correlationId)?.(JSON.parse(message.content.toString()))
  waiting.delete(message.properties.correlationId)
  channel.ack(message)
})

/** Sends a command and resolves with its reply. */
async function ask(command, messageId = randomUUID()) {
  const reply = new Promise((resolve) => waiting.set(messageId, resolve))
  const body = Buffer.from(JSON.stringify(command))
  channel.publish('', commandQueue, body, { messageId, replyTo, persistent: true, mandatory: true })
  await channel.waitForConfirms()
  return reply
}

/** What the work on a deal costs. */
const priceOf = (hours) => hours * 90

await channel.consume(queue, async (message) => {
  const event = JSON.parse(message.content.toString())
  const { document_id, properties, event_token, use_subscription } = event.data
  const to = { portal: event.portal.member_id, application: event.application }
  const [kind, id] = document_id[2].split('_') // DEAL_7
  const { result: deal, error } =
    kind === 'DEAL'
      ? await ask({ ...to, method: 'crm.deal.get', params: { id } })
      : { error: { description: `${document_id[2]} is no deal` } }
  const price = error === undefined ? priceOf(Number(properties.hours)) : undefined
  const said = error === undefined ? `${deal.TITLE}: ${price}` : error.description
  // Without a subscription nobody waits for an answer.
  if (use_subscription === 'Y') {
    const params = { EVENT_TOKEN: event_token, RETURN_VALUES: { price: price ?? '' }, LOG_MESSAGE: said }
    // The key is a hash of the token: the same work, however often it comes, is answered once.
    const { outcome } = await ask({ ...to, method: 'bizproc.event.send', params }, `price-${event.key}`)
    console.log(`${said}, answered: ${outcome}`)
  }
  // Last of all: a program that was killed before gets the work again.
  channel.ack(message)
})
console.log('The robot listens.')
