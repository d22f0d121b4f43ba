import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The built command line; `npm run bench` starts in the folder of the package. */
export const CLI = join(process.cwd(), 'dist/cli/main.js')

/** A program of this folder, as it was compiled beside us. */
export function programPath(name: string): string {
  return new URL(`../programs/${name}.js`, import.meta.url).pathname
}

export interface ProgramOptions {
  /** The whole environment besides `PATH`: nothing of ours leaks into what is measured. */
  readonly env?: Readonly<Record<string, string>>
  readonly nodeFlags?: readonly string[]
  readonly cwd: string
  /** Standard output goes to this file instead of to `lines`. */
  readonly outFile?: string
}

/** A process that is measured. */
export interface Program extends AsyncDisposable {
  /** Resolves to the next line of its standard output; rejects when it ends without one. */
  line(): Promise<string>
  /** Resolves to the exit code when it ends by itself. */
  readonly ended: Promise<number>
  /** Largest resident memory so far in MB, as the kernel counts it; 0 where there is no /proc. */
  peakMb(): number
  /** Seconds of processor time so far; 0 where there is no /proc. */
  cpuSeconds(): number
  /** SIGTERM, then waits for the end. */
  stop(): Promise<void>
}

/** Starts a node program. What it writes to standard error is shown when it fails. */
export function startProgram(script: string, args: readonly string[], options: ProgramOptions): Program {
  const out = options.outFile === undefined ? 'pipe' : openSync(options.outFile, 'a')
  const child = spawn(process.execPath, [...(options.nodeFlags ?? []), script, ...args], {
    cwd: options.cwd,
    env: { PATH: process.env.PATH, HOME: options.cwd, ...options.env },
    stdio: ['ignore', out, 'pipe'],
  })
  if (typeof out === 'number') closeSync(out)
  let errors = ''
  child.stderr?.on('data', (chunk) => {
    errors = (errors + chunk).slice(-4000)
  })
  const ended = new Promise<number>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? (signal === null ? 1 : 143)))
  })
  const line = lineReader(child, ended, () => errors)
  return {
    line,
    ended: ended.then((code) => {
      if (code !== 0 && errors !== '') process.stderr.write(errors)
      return code
    }),
    peakMb: () => Number(/VmHWM:\s+(\d+)/.exec(procFile(child, 'status'))?.[1] ?? 0) / 1024,
    cpuSeconds: () => cpuSeconds(procFile(child, 'stat')),
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      await ended
    },
  }
}

function lineReader(
  child: ChildProcess,
  ended: Promise<number>,
  errors: () => string,
): () => Promise<string> {
  const lines: string[] = []
  let rest = ''
  let wake: (() => void) | undefined
  let over = false
  child.stdout?.on('data', (chunk) => {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop() as string
    lines.push(...parts)
    wake?.()
  })
  void ended.then(() => {
    over = true
    wake?.()
  })
  return async () => {
    while (lines.length === 0) {
      if (over) throw new Error(`The program ended without an answer. ${errors()}`)
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    return lines.shift() as string
  }
}

function procFile(child: ChildProcess, name: string): string {
  try {
    return readFileSync(`/proc/${child.pid}/${name}`, 'utf8')
  } catch {
    return ''
  }
}

/** The 14th and 15th fields, in ticks of 10 ms. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function cpuSeconds(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / 100
}
