import type { Channel, ChannelModel } from 'amqplib'

/** A channel and the moment of its end. */
export interface OpenChannel<C extends Channel = Channel> {
  readonly channel: C
  /** Resolves when the channel is gone: with the broker's error, or `undefined` when we closed it or the connection went. */
  readonly ended: Promise<Error | undefined>
}

/** Watches a channel, so that none of its errors goes unheard and crashes the process. */
export function watchChannel<C extends Channel>(channel: C): OpenChannel<C> {
  let failure: Error | undefined
  channel.on('error', (error) => {
    failure = error
  })
  channel.on('handler-error', () => {})
  const ended = new Promise<Error | undefined>((resolve) => {
    channel.on('close', () => resolve(failure))
  })
  return { channel, ended }
}

/**
 * Runs a few operations on a channel of their own and closes it: the broker closes a channel at the first refusal, and
 * nothing else may be harmed by that.
 *
 * https://www.rabbitmq.com/docs/channels#error-handling
 */
export async function onThrowAwayChannel<T>(
  model: ChannelModel,
  act: (channel: Channel) => Promise<T>,
): Promise<T> {
  const { channel } = watchChannel(await model.createChannel())
  try {
    return await act(channel)
  } finally {
    await closeChannel(channel)
  }
}

/**
 * Closes a channel; does nothing when it is gone already. Its connection may go before the broker has answered: amqplib's
 * `close` says nothing more then, and only the event tells.
 */
export async function closeChannel(channel: Channel): Promise<void> {
  const gone = new Promise<void>((resolve) => channel.once('close', resolve))
  try {
    await Promise.race([channel.close(), gone])
  } catch {
    // Already closed, by the broker or with its connection.
  }
}
