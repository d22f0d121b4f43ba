import type { ExchangeSpec, HeaderValue, QueueSpec } from './broker.ts'

/**
 * Does a binding's key let a message through? `direct` compares, `fanout` lets everything through, in `topic` keys `*`
 * stands for one word and `#` for any number of words, none included. Pure.
 *
 * https://www.rabbitmq.com/tutorials/amqp-concepts#exchanges
 */
export function bindingMatches(type: ExchangeSpec['type'], bindingKey: string, routingKey: string): boolean {
  if (type === 'fanout') return true
  if (type === 'topic') return wordsMatch(bindingKey.split('.'), routingKey.split('.'))
  return bindingKey === routingKey
}

function wordsMatch(pattern: readonly string[], words: readonly string[]): boolean {
  // Reachable positions in `words` after each word of the pattern: linear in both, whatever the pattern.
  let reached = new Set([0])
  for (const part of pattern) {
    const next = new Set<number>()
    for (const at of reached) {
      if (part === '#') for (let to = at; to <= words.length; to++) next.add(to)
      else if (at < words.length && (part === '*' || part === words[at])) next.add(at + 1)
    }
    reached = next
  }
  return reached.has(words.length)
}

/** The arguments to declare a queue with; an empty object sends none. https://www.rabbitmq.com/docs/quorum-queues#declaring */
export function queueArguments(spec: QueueSpec): Record<string, HeaderValue> {
  return { ...(spec.type === 'quorum' ? { 'x-queue-type': 'quorum' } : {}), ...spec.arguments }
}

/** A queue's arguments as text that is equal for equal arguments. */
export function argumentsText(spec: QueueSpec): string {
  const entries = Object.entries(queueArguments(spec)).sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify(entries)
}
