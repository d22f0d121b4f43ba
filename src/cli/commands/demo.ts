import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import pc from 'picocolors'
import { readConfig } from '../../config/read.ts'
import type { Sandbox } from '../../sandbox/index.ts'
import type { Service } from '../../service.ts'
import { type Account, openAccount } from '../demo/account.ts'
import { DEMO_DEALS, type DemoCommand, demoCommands, demoMessage } from '../demo/commands.ts'
import { EXIT } from '../exit-codes.ts'
import type { CliIo } from '../io.ts'
import { openToolBroker } from '../parts.ts'
import { printJson, printLines } from '../report.ts'
import { whole } from './numbers.ts'

const EXAMPLES = `
Examples:
  b24-bridge demo
  b24-bridge demo --commands 10000 --json`

interface DemoFlags {
  readonly commands: number
  readonly json?: boolean
}

/** What the demo found; `faults` is empty when every command got exactly one right reply and no limit was broken. */
interface DemoResult {
  readonly commands: number
  readonly replies: Readonly<Record<string, number>>
  readonly requests: number
  readonly overLimit: number
  readonly peakLevel: number
  readonly seconds: number
  readonly oneByOneCalls: number
  readonly oneByOneSeconds: number
  readonly faults: readonly string[]
}

/** `b24-bridge demo`: the main job on this machine with nothing installed, checked reply by reply. */
export function demoCommand(io: CliIo): Command {
  return new Command('demo')
    .description('See the bridge at work: a sandbox portal, a queue in a file, 3,000 commands')
    .option('--commands <count>', 'how many commands to send', whole(100_000), 3000)
    .option('--json', 'print the result as one line of JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: DemoFlags) => {
      const { createSandbox } = await import('../../sandbox/index.ts')
      const folder = await mkdtemp(join(tmpdir(), 'b24-bridge-demo-'))
      const sandbox = await createSandbox({ deals: DEMO_DEALS, plan: 'standard' })
      try {
        const result = await demonstrate(io, flags, sandbox, `sqlite:${join(folder, 'demo.db')}`)
        if (flags.json === true) printJson(io, result)
        else printLines(io, table(result))
        if (io.signal.aborted) io.exit(EXIT.interrupted)
        else if (result.faults.length > 0) io.exit(EXIT.unexpected)
      } finally {
        await sandbox.close()
        await rm(folder, { recursive: true, force: true })
      }
    })
}

async function demonstrate(
  io: CliIo,
  flags: DemoFlags,
  sandbox: Sandbox,
  store: string,
): Promise<DemoResult> {
  const config = readConfig({
    env: {},
    cwd: tmpdir(),
    flags: { portal: sandbox.webhookUrl, store, http: '127.0.0.1:0', logLevel: 'error' },
  })
  // Loaded here, so that no other command pays for the memory of the whole service.
  const { createLog } = await import('../../log.ts')
  const { startService } = await import('../../service.ts')
  const service = await startService(config, { logger: createLog(config.log).logger })
  // Another program at the same queues, as a producer and a reader of replies would be.
  const { broker, close } = await openToolBroker(config)
  try {
    const commands = demoCommands(flags.commands)
    const account = openAccount(commands)
    await broker.consume('b24.replies', { prefetch: 500 }, (delivery) => {
      account.replied(delivery.message)
      delivery.ack()
    })
    if (flags.json !== true) {
      printLines(io, [
        `Sandbox portal at ${sandbox.url}: ${DEMO_DEALS.toLocaleString('en')} deals, limit 50 requests and 2 a second.`,
        `Sending ${commands.length.toLocaleString('en')} commands to the queue b24.commands …`,
      ])
    }
    const startedAt = performance.now()
    await Promise.all(
      commands.map((command) =>
        broker.publish({ exchange: '', routingKey: 'b24.commands' }, demoMessage(command)),
      ),
    )
    await watch(io, flags, { account, service, sandbox, commands, startedAt })
    return resultOf(account, commands, sandbox, (performance.now() - startedAt) / 1000)
  } finally {
    await close()
    await service.stop()
  }
}

/** Shows progress until every command has its reply, the user gives up, or nothing has moved for a minute. */
async function watch(
  io: CliIo,
  flags: DemoFlags,
  parts: {
    account: Account
    service: Service
    sandbox: Sandbox
    commands: readonly DemoCommand[]
    startedAt: number
  },
): Promise<void> {
  const { account, service, sandbox, commands, startedAt } = parts
  const tty = io.stdout.isTTY === true
  let moved = performance.now()
  let before = 0
  for (let tick = 0; !account.complete && !io.signal.aborted; tick++) {
    await sleep(250)
    if (account.replies !== before) {
      before = account.replies
      moved = performance.now()
    }
    if (performance.now() - moved > 60_000) return
    if (flags.json === true || (!tty && tick % 8 !== 0)) continue
    const { requests, level } = sandbox.stats()
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1).padStart(5)
    const line =
      `${seconds} s  replies ${String(account.replies).padStart(5)} of ${commands.length}` +
      `  requests ${String(requests).padStart(4)}  bucket ${bar(level)}  in hand ${service.inHand()}`
    io.stdout.write(tty ? `\r${line}\x1b[K` : `${line}\n`)
  }
  if (tty && flags.json !== true) io.stdout.write('\r\x1b[K')
  // A reply too many would come now.
  await sleep(300)
}

function bar(level: number): string {
  const full = Math.min(10, Math.round(level / 5))
  return `${'█'.repeat(full)}${'░'.repeat(10 - full)} ${String(Math.round(level)).padStart(2)}/50`
}

function resultOf(
  account: Account,
  commands: readonly DemoCommand[],
  sandbox: Sandbox,
  seconds: number,
): DemoResult {
  const { requests, refused, peakLevel } = sandbox.stats()
  const overLimit = refused.QUERY_LIMIT_EXCEEDED ?? 0
  const calls = commands.reduce((sum, command) => sum + command.calls, 0)
  return {
    commands: commands.length,
    replies: account.byOutcome,
    requests,
    overLimit,
    peakLevel,
    seconds: Math.round(seconds * 10) / 10,
    oneByOneCalls: calls,
    oneByOneSeconds: Math.max(0, (calls - 50) / 2),
    faults: [...account.faults(), ...(overLimit > 0 ? [`${overLimit} requests were over the limit`] : [])],
  }
}

function table(result: DemoResult): string[] {
  const outcomes = Object.entries(result.replies).map(([outcome, count]) => `${count} ${outcome}`)
  const rows: [string, string][] = [
    ['commands', `${result.commands}`],
    ['replies', outcomes.join(', ') || 'none'],
    [
      'HTTP requests',
      `${result.requests} (${result.overLimit} over the limit, counter at most ${Math.ceil(result.peakLevel)} of 50)`,
    ],
    ['time', `${result.seconds} s`],
    ['one by one', `${result.oneByOneCalls} calls at 2 a second: ${minutes(result.oneByOneSeconds)}`],
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  const shown = result.faults.slice(0, 20).map((fault) => pc.red(`  ${fault}`))
  const verdict =
    result.faults.length === 0
      ? pc.green('Every command got exactly one right reply, and no request was over the limit.')
      : pc.red(`${result.faults.length} faults:`)
  return ['', ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`), '', verdict, ...shown]
}

function minutes(seconds: number): string {
  return seconds < 120
    ? `${Math.round(seconds)} s`
    : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
}
