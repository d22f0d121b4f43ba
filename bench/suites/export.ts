import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench, BenchContext } from '../lib/bench.ts'
import { CLI, programPath, startProgram } from '../lib/program.ts'
import { number } from '../lib/report.ts'
import { type SandboxProcess, startSandbox } from '../lib/sandbox.ts'

/** Places of the portal's counter that a list leaves to other work. */
const RESERVE = 5

/** A whole list to a file: how fast, in how many requests, in how much memory. */
export const exportBench: Bench = {
  name: 'export',
  about: 'every row of a list by id to a file, beside the official SDK',
  async run(context) {
    const rows = context.quick ? 100_000 : 1_000_000
    await using free = await startSandbox(context, { deals: rows, limits: 'off' })
    const summary = await exportRows(context, free, 'off', rows)
    const sdk = await sdkRate(context)
    context.figure({
      name: `${number(rows)} rows, no limits`,
      value: summary.rowsPerSecond,
      unit: 'rows/s',
      baseline: `@bitrix24/b24jssdk fetchList ${number(sdk.rate)} rows/s (${number(sdk.rows)} rows, multiplied)`,
    })
    context.figure({
      name: 'rows a request',
      value: rows / summary.requests,
      unit: 'rows',
      // The first two requests are small: nobody knows yet how quick the portal is.
      bound: { least: context.quick ? 0.9 * 2500 : 2375 },
      baseline: `@bitrix24/b24jssdk ${number(sdk.rows / sdk.requests)}`,
    })
    context.figure({
      name: `memory, ${number(rows)} rows`,
      value: summary.peakMb,
      unit: 'MB',
      bound: { most: 150 },
      baseline: `@bitrix24/b24jssdk ${number(sdk.peakMb)} MB for ${number(sdk.rows)} rows`,
    })
    await underLimits(context, rows, sdk.rows / sdk.requests)
  },
}

async function underLimits(context: BenchContext, rows: number, sdkRows: number): Promise<void> {
  // So few requests as the quick run has would all fit into the burst of a real portal.
  const limits = context.quick ? { capacity: 20, drainPerSecond: 5 } : { capacity: 50, drainPerSecond: 2 }
  const text = `${limits.capacity}/${limits.drainPerSecond}`
  await using sandbox = await startSandbox(context, { deals: rows, limits })
  const { seconds, requests } = await exportRows(context, sandbox, text, rows)
  const ideal = (requests - limits.capacity) / limits.drainPerSecond
  const slack = context.quick ? (limits.drainPerSecond + RESERVE) / limits.drainPerSecond : 0
  context.figure({
    name: `${number(rows)} rows under ${text}`,
    value: seconds,
    unit: 's',
    bound: { most: 1.05 * ideal + slack },
    baseline:
      `the portal's bound ${number(ideal)} s for ${requests} requests; ` +
      `@bitrix24/b24jssdk by arithmetic ${number((rows / sdkRows - limits.capacity) / limits.drainPerSecond)} s`,
  })
}

interface Exported {
  readonly rows: number
  readonly requests: number
  readonly seconds: number
  readonly rowsPerSecond: number
  readonly peakMb: number
}

async function exportRows(
  context: BenchContext,
  sandbox: SandboxProcess,
  limits: string,
  rows: number,
): Promise<Exported> {
  const file = context.folder.file('deals.ndjson')
  const args = [
    'list',
    'crm.deal.list',
    '--out',
    file,
    '--json',
    '--portal',
    sandbox.webhook,
    '--limits',
    limits,
  ]
  await using program = startProgram(CLI, args, { cwd: context.folder.path })
  const watch = watchPeak(program.peakMb)
  const summary = JSON.parse(await program.line()) as Exported
  const peakMb = watch()
  if (summary.rows !== rows) throw new Error(`${summary.rows} rows of ${rows}`)
  if ((await stat(file)).size < rows * 10) throw new Error('The file is too short')
  return { ...summary, peakMb }
}

/** Asks while the process is alive; afterwards the kernel has forgotten. */
function watchPeak(peakMb: () => number): () => number {
  let peak = 0
  const stop = new AbortController()
  const watching = (async () => {
    while (!stop.signal.aborted) {
      peak = Math.max(peak, peakMb())
      await sleep(20)
    }
  })()
  void watching
  return () => {
    stop.abort()
    return Math.max(peak, peakMb())
  }
}

interface SdkRun {
  readonly rows: number
  readonly requests: number
  readonly rate: number
  readonly peakMb: number
}

/** The SDK takes https only, and asks for one page of 50 rows a request. */
async function sdkRate(context: BenchContext): Promise<SdkRun> {
  const rows = context.quick ? 10_000 : 50_000
  await using sandbox = await startSandbox(context, { deals: rows, limits: 'off', tls: true })
  await using program = startProgram(programPath('sdk-list'), [sandbox.webhook], {
    cwd: context.folder.path,
    env: { NODE_EXTRA_CA_CERTS: sandbox.certificate as string },
  })
  const watch = watchPeak(program.peakMb)
  const found = JSON.parse(await program.line()) as { rows: number; requests: number; seconds: number }
  if (found.rows !== rows) throw new Error(`The SDK gave ${found.rows} rows of ${rows}`)
  return { rows, requests: found.requests, rate: rows / found.seconds, peakMb: watch() }
}
