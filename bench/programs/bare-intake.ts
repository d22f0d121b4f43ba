// The least that can take events safely: parse the form, publish it with a confirm, then answer. Nothing is checked.
import { parse } from 'node:querystring'
import { connect } from 'amqplib'
import Fastify from 'fastify'

const [url, exchange, port] = process.argv.slice(2) as [string, string, string]
const channel = await (await connect(url)).createConfirmChannel()
const server = Fastify()
server.addContentTypeParser(
  'application/x-www-form-urlencoded',
  { parseAs: 'string' },
  (_request, body, done) => done(null, parse(body as string)),
)
server.post('/b24/events', async (request) => {
  await new Promise<void>((resolve, reject) => {
    const body = Buffer.from(JSON.stringify(request.body))
    channel.publish(exchange, 'event.x.y', body, { persistent: true, mandatory: true }, (error) =>
      error === null ? resolve() : reject(error),
    )
  })
  return { status: 'ok' }
})
await server.listen({ host: '127.0.0.1', port: Number(port) })
console.log('ready')
process.once('SIGTERM', () => process.exit(0))
