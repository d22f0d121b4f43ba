import type { Address, Broker, Message, Topology } from '../../brokers/broker.ts'
import { createBitrix24BridgeContract } from './bitrix24-bridge.ts'
import type { Contract } from './contract.ts'
import { createNativeContract } from './native.ts'
import { createRabbitmqToBitrix24Contract, type RestRoot } from './rabbitmq-to-bitrix24.ts'
import {
  type Bitrix24BridgeQueues,
  bitrix24BridgeReplyAddress,
  bitrix24BridgeTopology,
  checkReplyRoute,
  type FoundOut,
  type NativeQueues,
  nativeReplyAddress,
  nativeTopology,
  type RabbitmqToBitrix24Queues,
  rabbitmqToBitrix24ReplyAddress,
  rabbitmqToBitrix24Topology,
} from './topology.ts'

/** Which contract, with its own options. */
export type ContractChoice =
  | { readonly name: 'native'; readonly queues: NativeQueues }
  | {
      readonly name: 'bitrix24-bridge'
      readonly strict: boolean
      /** See `Bitrix24BridgeContractOptions`; true unless set. */
      readonly many?: boolean
      readonly queues: Bitrix24BridgeQueues
    }
  | {
      readonly name: 'rabbitmq-to-bitrix24'
      readonly rest: RestRoot | undefined
      readonly strictOrder: boolean
      readonly queues: RabbitmqToBitrix24Queues
    }

/** A contract together with its queues at a broker. */
export interface ChosenContract {
  readonly contract: Contract
  readonly commandQueue: string
  readonly replyAddress: (message: Message) => Address
  /** Lists are counted and keep the order of pages, as the older program did. */
  readonly countLists: boolean
  readonly strictOrder: boolean
  /**
   * Declares or checks what the contract needs, the dead letter queue included. Rejects with the `BrokerError` of
   * `Broker.declare`, or with a `ConfigError` when there is no way for replies.
   */
  prepare(broker: Broker): Promise<void>
}

/** Copies of what cannot end well go here, whatever the contract. */
export const DEAD_QUEUE = 'b24.dead'

/** Builds the contract of a choice. Does no I/O. */
export function chooseContract(choice: ContractChoice, maxBodyBytes: number): ChosenContract {
  switch (choice.name) {
    case 'native': {
      const { queues } = choice
      return {
        contract: createNativeContract({ maxBodyBytes }),
        commandQueue: queues.commandQueue ?? 'b24.commands',
        replyAddress: (message) => nativeReplyAddress(message, queues),
        countLists: false,
        strictOrder: false,
        prepare: (broker) => broker.declare(nativeTopology({ ...queues, deadQueue: DEAD_QUEUE })),
      }
    }
    case 'bitrix24-bridge': {
      const { queues } = choice
      return {
        contract: createBitrix24BridgeContract({
          strict: choice.strict,
          many: choice.many ?? true,
          maxBodyBytes,
        }),
        commandQueue: queues.commandQueue ?? 'bitrix24-command',
        replyAddress: (message) => bitrix24BridgeReplyAddress(message, queues),
        countLists: true,
        strictOrder: false,
        async prepare(broker) {
          await broker.declare(bitrix24BridgeTopology(queues))
          await broker.declare(deadLetters(queues.topology))
        },
      }
    }
    case 'rabbitmq-to-bitrix24': {
      const { queues } = choice
      const out = queues.out ?? 'bitrix24out'
      let found: FoundOut = { exchangeExists: false, queueExists: false }
      return {
        contract: createRabbitmqToBitrix24Contract({
          maxBodyBytes,
          ...(choice.rest === undefined ? {} : { rest: choice.rest }),
        }),
        commandQueue: queues.commandQueue ?? 'bitrix24in',
        replyAddress: (message) => rabbitmqToBitrix24ReplyAddress(message, queues, found),
        countLists: false,
        strictOrder: choice.strictOrder,
        async prepare(broker) {
          const look = async (): Promise<FoundOut> => ({
            exchangeExists: await broker.exchangeExists(out),
            queueExists: (await broker.queueInfo(out)) !== undefined,
          })
          found = await look()
          checkReplyRoute(queues, found)
          await broker.declare(rabbitmqToBitrix24Topology(queues, found))
          await broker.declare(deadLetters(queues.topology))
          found = await look()
        },
      }
    }
  }
}

/** Our own queue is made even where the older program's may only be looked at. */
function deadLetters(mode: Topology['mode'] | undefined): Topology {
  return {
    mode: mode === 'off' ? 'off' : 'declare',
    exchanges: [],
    queues: [{ name: DEAD_QUEUE, durable: true, type: 'quorum' }],
    bindings: [],
  }
}
