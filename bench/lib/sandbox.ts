import type { BenchContext } from './bench.ts'
import { CLI, type Program, startProgram } from './program.ts'

export interface RequestLimits {
  readonly capacity: number
  readonly drainPerSecond: number
}

/** What the sandbox has seen; the part that benches look at. */
export interface SandboxStats {
  readonly requests: number
  readonly refused: Readonly<Record<string, number>>
  readonly peakLevel: number
  /** Calls carried out by method; a batch counts beside its commands. */
  readonly commands: Readonly<Record<string, number>>
}

/** A sandbox portal in a process of its own. */
export interface SandboxProcess extends AsyncDisposable {
  readonly url: string
  readonly webhook: string
  /** With `tls`: the file with its certificate. */
  readonly certificate: string | undefined
  stats(): Promise<SandboxStats>
}

/** Starts one. `limits` `off` is a portal without request limits and without the limiter of operating time. */
export async function startSandbox(
  { folder }: Pick<BenchContext, 'folder'>,
  options: { readonly deals: number; readonly limits: RequestLimits | 'off'; readonly tls?: boolean },
): Promise<SandboxProcess> {
  const { deals, limits, tls = false } = options
  const certificate = tls ? folder.file('portal.pem') : undefined
  const args = ['sandbox', '--json', '--port', '0', '--deals', String(deals)]
  args.push('--plan', limits === 'off' ? 'self-hosted' : 'standard')
  if (certificate !== undefined) args.push('--tls', '--certificate', certificate)
  const program: Program = startProgram(CLI, args, { cwd: folder.path })
  const { url, webhook } = JSON.parse(await program.line()) as { url: string; webhook: string }
  if (limits !== 'off') {
    const body = JSON.stringify({ limits })
    await fetch(`${url}/__sandbox/portal`, { method: 'POST', body })
  }
  return {
    url,
    webhook,
    certificate,
    stats: async () => (await (await fetch(`${url}/__sandbox/stats`)).json()) as SandboxStats,
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  }
}
