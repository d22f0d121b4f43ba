import { setTimeout as sleep } from 'node:timers/promises'
import { type ChannelModel, type ConfirmChannel, connect, type Options } from 'amqplib'

/** A message as benches send it. */
export interface Outgoing {
  readonly body: string
  readonly properties: Options.Publish
}

/** A reply as benches check it. */
export interface Incoming {
  readonly body: string
  readonly messageId: string | undefined
  readonly correlationId: string | undefined
}

export type QueueType = 'classic' | 'quorum'

/** Producer and reader: the two programs on the far sides of the queues. */
export interface Queues extends AsyncDisposable {
  /** Names that nobody else uses, deleted at the end. */
  readonly commands: string
  readonly replies: string
  readonly dead: string
  readonly exchange: string
  /** Declares the queues, as quorum queues unless told otherwise, which is what the native contract would do. */
  declare(type?: QueueType): Promise<void>
  /** Waits until somebody consumes the commands. */
  served(): Promise<void>
  /** Publishes to the commands; resolves when the broker has confirmed all. */
  send(messages: readonly Outgoing[]): Promise<void>
  /** Replies that lie in the queue. Asking costs next to nothing, so nobody needs to read while time is taken. */
  waiting(): Promise<number>
  /** Takes all replies out. */
  read(count: number): Promise<Incoming[]>
  readonly channel: ConfirmChannel
}

let opened = 0

/** Connects and makes up names. */
export async function openQueues(url: string): Promise<Queues> {
  const model: ChannelModel = await connect(url)
  model.on('error', () => undefined)
  const channel = await model.createConfirmChannel()
  const prefix = `b24-bench-${process.pid}-${++opened}`
  const names = {
    commands: `${prefix}.commands`,
    replies: `${prefix}.replies`,
    dead: `${prefix}.dead`,
    exchange: `${prefix}.exchange`,
  }
  return {
    ...names,
    channel,
    async declare(type = 'quorum') {
      for (const name of [names.commands, names.replies, names.dead])
        await channel.assertQueue(name, { durable: true, arguments: { 'x-queue-type': type } })
    },
    async served() {
      for (const until = Date.now() + 30_000; Date.now() < until; await sleep(50)) {
        if ((await consumers(model, names.commands)) > 0) return
      }
      throw new Error('Nobody serves the queue of commands')
    },
    async send(messages) {
      for (const { body, properties } of messages) {
        const room = channel.publish('', names.commands, Buffer.from(body), {
          persistent: true,
          ...properties,
        })
        if (!room) await new Promise((resolve) => channel.once('drain', resolve))
      }
      await channel.waitForConfirms()
    },
    waiting: async () => (await channel.checkQueue(names.replies)).messageCount,
    read: (count) => read(model, names.replies, count),
    async [Symbol.asyncDispose]() {
      for (const name of [names.commands, names.replies, names.dead]) await channel.deleteQueue(name)
      await channel.deleteExchange(names.exchange)
      await model.close()
    },
  }
}

/** On a channel of its own, because the broker closes it when there is no such queue yet. */
async function consumers(model: ChannelModel, queue: string): Promise<number> {
  const channel = await model.createChannel()
  channel.on('error', () => undefined)
  try {
    const { consumerCount } = await channel.checkQueue(queue)
    await channel.close()
    return consumerCount
  } catch {
    return 0
  }
}

async function read(model: ChannelModel, queue: string, count: number): Promise<Incoming[]> {
  const channel = await model.createChannel()
  const found: Incoming[] = []
  let full = (): void => undefined
  const all = new Promise<void>((resolve) => {
    full = resolve
  })
  await channel.consume(
    queue,
    (raw) => {
      if (raw === null) return
      const { messageId, correlationId } = raw.properties
      found.push({ body: raw.content.toString(), messageId, correlationId })
      if (found.length === count) full()
    },
    { noAck: true },
  )
  await Promise.race([all, sleep(20_000, undefined, { ref: false })])
  // A reply too many would be here by now.
  await sleep(200)
  await channel.close()
  return found
}
