// Keeps deals in step with a system of one's own: prints each deal that is new or changed, and writes our number into it.
// That write is a change too, so the portal tells us of it. The comparison below ends the round.
import { randomUUID } from 'node:crypto'
import { connect } from 'amqplib'

const commandQueue = process.env.BRIDGE_COMMAND_QUEUE ?? 'b24.commands'
const exchange = process.env.BRIDGE_EVENTS_EXCHANGE ?? 'b24.events'
const queue = process.env.EXAMPLE_QUEUE ?? 'new-deals'
const connection = await connect(process.env.BRIDGE_BROKER ?? 'amqp://guest:guest@127.0.0.1:5672/')
const channel = await connection.createConfirmChannel()

// A durable queue of our own gathers changes while this program is away. The first word stands for the way by which a
// change was told: at once (event) or fetched from the portal (offline).
await channel.assertQueue(queue, { durable: true })
await channel.bindQueue(queue, exchange, '*.*.oncrmdealadd')
await channel.bindQueue(queue, exchange, '*.*.oncrmdealupdate')
// One after another, so that two changes of one deal are not compared side by side.
await channel.prefetch(1)

// A command that no queue takes would be gone: better to end here, then the event comes again.
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

/** How we want a deal to be: it carries the number that it has in our system. */
const wantedOf = (deal) => ({ ORIGINATOR_ID: 'erp', ORIGIN_ID: `ERP-${deal.ID}` })

async function take({ key, portal, application, data }) {
  const to = { portal: portal.member_id, application }
  const id = data.FIELDS.ID
  // The event has only the id, and may be old: what counts is how the deal is now.
  const { outcome, result: deal, error } = await ask({ ...to, method: 'crm.deal.get', params: { id } })
  if (outcome !== 'done') return console.log(`deal ${id}: ${error.description}`)
  const wanted = wantedOf(deal)
  // Nothing to do when everything is as we want it. So our own change is answered with nothing.
  if (Object.keys(wanted).every((name) => deal[name] === wanted[name]))
    return console.log(`deal ${id}, ${deal.TITLE}: in step`)
  const params = { id, fields: wanted }
  const reply = await ask({ ...to, method: 'crm.deal.update', params }, `deal-${key}`)
  console.log(`deal ${id}, ${deal.TITLE}: given the number ${wanted.ORIGIN_ID}, ${reply.outcome}`)
}

await channel.consume(queue, async (message) => {
  await take(JSON.parse(message.content.toString()))
  channel.ack(message)
})
console.log('Deals are listened for.')
