// A chat bot: whatever is said to it, it says back.
import { connect } from 'amqplib'

const commandQueue = process.env.BRIDGE_COMMAND_QUEUE ?? 'b24.commands'
const exchange = process.env.BRIDGE_EVENTS_EXCHANGE ?? 'b24.events'
const queue = process.env.EXAMPLE_QUEUE ?? 'echo-bot'
const connection = await connect(process.env.BRIDGE_BROKER ?? 'amqp://guest:guest@127.0.0.1:5672/')
const channel = await connection.createConfirmChannel()

// A durable queue of our own gathers what is said while this program is away. The bridge makes the exchange.
await channel.assertQueue(queue, { durable: true })
await channel.bindQueue(queue, exchange, 'bot.*.onimbotmessageadd')
await channel.bindQueue(queue, exchange, 'bot.*.onimbotv2messageadd')
await channel.prefetch(20)

// A command that no queue takes would be gone: better to end here, then the event comes again.
channel.on('return', () => {
  console.error(`There is no queue ${commandQueue}: is the bridge running?`)
  process.exit(1)
})

/** The answer to an event: `imbot.message.add` for a bot of the older kind, its successor for one of version 2. */
function answerTo({ event, data }) {
  if (event === 'ONIMBOTV2MESSAGEADD') {
    const params = {
      botId: data.bot.id,
      dialogId: data.chat.dialogId,
      fields: { message: data.message.text },
    }
    return { method: 'imbot.v2.Chat.Message.send', params }
  }
  // Several bots of one application may hear a message; here the first of them speaks.
  const [botId] = Object.keys(data.BOT)
  const { DIALOG_ID, MESSAGE } = data.PARAMS
  return { method: 'imbot.message.add', params: { BOT_ID: botId, DIALOG_ID, MESSAGE } }
}

// What became of the answers.
const { queue: replyTo } = await channel.assertQueue('', { exclusive: true })
await channel.consume(replyTo, (message) => {
  const { outcome, meta, error } = JSON.parse(message.content.toString())
  console.log(`"${meta.said}" said back: ${outcome}${error === undefined ? '' : `, ${error.description}`}`)
  channel.ack(message)
})

await channel.consume(queue, async (message) => {
  const event = JSON.parse(message.content.toString())
  const { method, params } = answerTo(event)
  const command = {
    ...{ method, params },
    // Back to the portal from which it came, in the name of the application that owns the bot.
    portal: event.portal.member_id,
    application: event.application,
    priority: 'urgent', // somebody is waiting
    meta: { said: params.MESSAGE ?? params.fields.message },
  }
  // The same event may come twice. The same message id then makes it one answer: the bridge carries it out once.
  const messageId = `echo-${event.key}`
  const body = Buffer.from(JSON.stringify(command))
  channel.publish('', commandQueue, body, { messageId, replyTo, persistent: true, mandatory: true })
  await channel.waitForConfirms()
  channel.ack(message)
})
console.log('The echo bot listens.')
