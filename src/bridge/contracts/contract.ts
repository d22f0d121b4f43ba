import type { Message } from '../../brokers/broker.ts'
import type { Command } from '../../model/command.ts'
import type { Outcome } from '../../model/outcome.ts'

/** What a contract may need of the moment; passed in so that parsing and encoding stay pure. */
export interface ReplyContext {
  /** Milliseconds since 1970. */
  readonly now: number
  /** A fresh random id for the reply's `message_id`, where the contract sets one of its own. */
  readonly newId: string
  /** Name or domain of the portal that was asked, when it was found. */
  readonly portal?: string
}

/**
 * A contract: how a message becomes a command and an outcome becomes a message. The only place that knows a wire
 * format. Pure: no sockets, no clock.
 */
export interface Contract {
  readonly name: 'native' | 'bitrix24-bridge' | 'rabbitmq-to-bitrix24'
  /**
   * The command in a message. Throws a `CommandError` with code and hint for anything that is not one; the
   * consumer then calls `reply` with that failure, so a bad message gets an answer too.
   */
  parse(message: Message): Command
  /**
   * The reply. `command` is absent when parsing failed; the contract then echoes whatever it can read from
   * `message`. Must not throw for any message.
   */
  reply(message: Message, command: Command | undefined, outcome: Outcome, context: ReplyContext): Message
}
