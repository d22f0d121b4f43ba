import type { BenchContext } from './bench.ts'
import { CLI, type Program, startProgram } from './program.ts'
import type { Queues } from './queues.ts'

export type ContractName = 'native' | 'bitrix24-bridge' | 'rabbitmq-to-bitrix24'

export interface BridgeOptions {
  readonly contract?: ContractName
  readonly webhook: string
  /** `50/2`, or `off`. */
  readonly limits: string
  readonly logLevel?: 'warn' | 'info'
  /** Where HTTP listens; any free port unless set. */
  readonly http?: string
  /** `passive` uses queues as they are. */
  readonly topology?: 'passive'
  readonly nodeFlags?: readonly string[]
}

/** Starts the bridge as an operator would: one process, settings in its environment. Without queues it is embedded. */
export function startBridge(
  { amqpUrl, folder }: Pick<BenchContext, 'amqpUrl' | 'folder'>,
  queues: Queues | undefined,
  options: BridgeOptions,
): Program {
  const { contract = 'native', webhook, limits, logLevel = 'warn', http = '127.0.0.1:0' } = options
  const env: Record<string, string> = {
    BRIDGE_CONTRACT: contract,
    BRIDGE_PORTAL: webhook,
    BRIDGE_LIMITS: limits,
    BRIDGE_STORE: `sqlite:${folder.file('bridge.db')}`,
    BRIDGE_HTTP: http,
    BRIDGE_LOG_LEVEL: logLevel,
  }
  if (queues !== undefined) {
    env.BRIDGE_BROKER = amqpUrl
    env.BRIDGE_COMMAND_QUEUE = queues.commands
    env.BRIDGE_REPLY_QUEUE = queues.replies
    if (contract === 'native') env.BRIDGE_DEAD_QUEUE = queues.dead
    if (contract === 'bitrix24-bridge') env.BRIDGE_EXCHANGE = queues.exchange
    if (options.topology !== undefined) env.BRIDGE_TOPOLOGY = options.topology
    if (contract === 'rabbitmq-to-bitrix24') env.BRIDGE_TOPOLOGY = 'declare'
  }
  return startProgram(CLI, ['run'], {
    cwd: folder.path,
    env,
    outFile: folder.file('bridge.log'),
    ...(options.nodeFlags === undefined ? {} : { nodeFlags: options.nodeFlags }),
  })
}
