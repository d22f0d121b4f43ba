// The least that a program between two queues can do safely: consume, publish with a confirm, then acknowledge.
import { connect } from 'amqplib'

const [url, from, to] = process.argv.slice(2) as [string, string, string]
const consuming = await (await connect(url)).createChannel()
const publishing = await (await connect(url)).createConfirmChannel()
await consuming.prefetch(500)
await consuming.consume(from, (message) => {
  if (message === null) return
  const { messageId, contentType } = message.properties
  const options = { persistent: true, mandatory: true, messageId, contentType }
  publishing.publish('', to, message.content, options, (error) => {
    if (error === null) consuming.ack(message)
  })
})
process.once('SIGTERM', () => process.exit(0))
