import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { main } from '../../../src/cli/main.ts'
import { createSandbox } from '../../../src/sandbox/index.ts'

/** What one call of the command line left behind. */
export interface CommandLineResult {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** How a call differs from the usual: an empty environment, a folder of its own, no terminal, no signal. */
export interface CommandLineWorld {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly input?: string
  readonly tty?: boolean
  readonly signal?: AbortSignal
  /** Told each piece of stdout as it comes. */
  readonly onOut?: (text: string) => void
}

/** An empty folder. */
export function emptyFolder(): string {
  return mkdtempSync(join(tmpdir(), 'b24-cli-'))
}

/** Runs the command line inside this process. */
export async function run(argv: readonly string[], world: CommandLineWorld = {}): Promise<CommandLineResult> {
  const [out, err] = [capture(world.onOut), capture()]
  const stdin = new PassThrough()
  stdin.end(world.input ?? '')
  let exited: number | undefined
  const code = await main(argv, {
    stdin,
    stdout: Object.assign(out.stream, { isTTY: world.tty ?? false, columns: 100 }),
    stderr: Object.assign(err.stream, { isTTY: world.tty ?? false }),
    env: world.env ?? {},
    cwd: world.cwd ?? emptyFolder(),
    signal: world.signal ?? new AbortController().signal,
    exit: (wanted) => {
      exited = wanted
    },
  })
  if (exited !== code) throw new Error(`main gave ${code} and set ${exited}`)
  return { code, out: out.text(), err: err.text() }
}

/** A sandbox portal without limits, and its address as a setting. */
export async function openPortal() {
  const sandbox = await createSandbox({ deals: 5, plan: 'self-hosted' })
  return { sandbox, env: { BRIDGE_PORTAL: sandbox.webhookUrl, BRIDGE_LIMITS: 'off' } }
}

function capture(onText: (text: string) => void = () => {}) {
  const stream = new PassThrough()
  let text = ''
  stream.setEncoding('utf8')
  stream.on('data', (chunk: string) => {
    text += chunk
    onText(chunk)
  })
  return { stream, text: () => text }
}
