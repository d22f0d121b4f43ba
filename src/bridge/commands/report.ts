import type { Delivery } from '../../brokers/broker.ts'
import type { Command } from '../../model/command.ts'
import type { Outcome } from '../../model/outcome.ts'

/** One settled command, for logs and metrics; holds no parameters and no secret. */
export interface SettledReport {
  readonly queue: string
  readonly contract: string
  readonly messageId: string | undefined
  readonly portal: string | undefined
  readonly action: Command['action'] | undefined
  readonly method: string | undefined
  readonly outcome: Outcome['kind'] | 'requeued'
  readonly status: number
  readonly code: string | undefined
  readonly attempts: number
  readonly redelivered: boolean
  /** The reply came from the ledger or from an earlier delivery of the same message. */
  readonly replayed: boolean
  /** From the delivery to the confirmed reply. */
  readonly ms: number
}

/** What is known at its end; how long it took is added by whoever measures. */
export function reportOf(
  delivery: Delivery,
  outcome: Outcome,
  known: {
    readonly queue: string
    readonly contract: string
    readonly command: Command | undefined
    readonly portal: string | undefined
    readonly replayed: boolean
  },
): Omit<SettledReport, 'ms'> {
  const { queue, contract, command, portal, replayed } = known
  return {
    queue,
    contract,
    messageId: delivery.message.messageId,
    portal,
    action: command?.action,
    method: command?.method,
    outcome: outcome.kind,
    status: outcome.status,
    code: outcome.failure?.code,
    attempts: outcome.attempts,
    redelivered: delivery.redelivered,
    replayed,
  }
}
