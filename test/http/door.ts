import { createNativeContract } from '../../src/bridge/contracts/native.ts'
import type { Message } from '../../src/brokers/broker.ts'
import type { CommandDoor } from '../../src/http/server.ts'
import type { Command } from '../../src/model/command.ts'
import { BrokerError, CommandError } from '../../src/model/errors.ts'
import type { Outcome } from '../../src/model/outcome.ts'

/** A small bridge in memory: it knows three methods, one of which ends only when told to. */
export interface SmallDoor extends CommandDoor {
  /** Commands that were begun, by id. */
  readonly begun: string[]
  /** Ids whose run was withdrawn. */
  readonly withdrawn: string[]
  /** Ends the commands of the method `slow.get`. */
  release(): void
  /** Carries out what was queued. */
  work(): void
}

/**
 * `crm.deal.get` gives a deal, `slow.get` waits for `release`, `broken.get` makes the bridge itself fail, `full.add`
 * cannot be queued; any other method is refused as by a portal.
 */
export function createSmallDoor(): SmallDoor {
  const contract = createNativeContract()
  const queued = new Map<string, Message>()
  const replies = new Map<string, Message>()
  const begun: string[] = []
  const withdrawn: string[] = []
  let waiting: (() => void)[] = []

  const replyTo = (message: Message): Message => {
    const command = contract.parse(message)
    return contract.reply(message, command, outcomeOf(command), {
      now: 0,
      newId: 'reply-1',
      portal: 'example.bitrix24.com',
    })
  }
  return {
    begun,
    withdrawn,
    async run(message, signal) {
      const id = message.messageId as string
      begun.push(id)
      const { method } = contract.parse(message)
      if (method === 'broken.get') throw new Error('no, for auth=verysecret')
      if (method === 'slow.get') {
        await new Promise<void>((resolve, reject) => {
          waiting.push(resolve)
          signal.addEventListener('abort', () => {
            withdrawn.push(id)
            reject(new CommandError('ABORTED', 'Withdrawn', { status: 503 }))
          })
        })
      }
      return { reply: replyTo(message) }
    },
    async enqueue(message) {
      const { method } = contract.parse(message)
      if (method === 'full.add') throw new BrokerError('NACKED', 'The queue is full')
      if (method === 'lost.add') throw new BrokerError('CONFIRM_TIMEOUT', 'The broker has not confirmed')
      queued.set(message.messageId as string, message)
    },
    async find(id) {
      return replies.get(id) ?? (queued.has(id) ? 'pending' : undefined)
    },
    release() {
      for (const resolve of waiting) resolve()
      waiting = []
    },
    work() {
      for (const [id, message] of queued) replies.set(id, replyTo(message))
      queued.clear()
    },
  }
}

function outcomeOf(command: Command): Outcome {
  if (command.method.endsWith('.get')) {
    const answer = { status: 200, body: { result: { ID: '7', TITLE: 'Kettle' } }, attempts: 1 }
    return { kind: 'done', status: 200, attempts: 1, result: { action: 'call', answer } }
  }
  const failure = { code: 'ERROR_METHOD_NOT_FOUND', description: 'Method not found!', retryable: false }
  return { kind: 'failed', status: 404, attempts: 1, failure }
}
