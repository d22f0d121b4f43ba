import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Environment } from '../../../src/config/read.ts'
import { builtMain } from '../../support/built.ts'

export interface BridgeOptions {
  readonly env: Environment
  readonly cwd: string
  readonly nodeFlags?: readonly string[]
}

/** One bridge as an operator runs it: a process of its own. */
export class Bridge {
  readonly #child: ChildProcess
  readonly #exit: Promise<unknown[]>
  #output = ''
  /** Its end was asked for; any other is a fault. */
  #expected = false

  constructor({ env, cwd, nodeFlags = [] }: BridgeOptions) {
    this.#child = spawn(process.execPath, [...nodeFlags, builtMain(), 'run'], {
      cwd,
      env: { PATH: process.env.PATH, ...env } as NodeJS.ProcessEnv,
    })
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (chunk) => {
        this.#output += chunk
      })
    this.#exit = once(this.#child, 'exit')
    // Nothing is left running when the tests are interrupted.
    const kill = (): void => void this.#child.kill('SIGKILL')
    process.once('exit', kill)
    this.#child.once('exit', () => process.off('exit', kill))
  }

  /** What it has written: lines of JSON. */
  get output(): string {
    return this.#output
  }

  get pid(): number {
    return this.#child.pid as number
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Ended although nobody asked it to. */
  get died(): boolean {
    return !this.running && !this.#expected
  }

  /** Its log lines of a name. */
  logged(event: string): Record<string, unknown>[] {
    return this.#output
      .split('\n')
      .filter((line) => line.includes(`"msg":"${event}"`))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  /** Waits until it takes commands. */
  async ready(): Promise<this> {
    await this.says('service.ready', 60_000)
    return this
  }

  async says(text: string, withinMs = 20_000): Promise<void> {
    for (const end = Date.now() + withinMs; !this.#output.includes(text); await sleep(20)) {
      if (this.running && Date.now() < end) continue
      throw new Error(`"${text}" was not said:\n${this.#output.slice(-3000)}`)
    }
  }

  /** Where its HTTP side listens. */
  get url(): string {
    return String(this.logged('service.listening')[0]?.url)
  }

  async kill(): Promise<void> {
    this.#expected = true
    this.#child.kill('SIGKILL')
    await this.#exit
  }

  /** SIGTERM; what it exits with, once it has. */
  async stop(): Promise<unknown> {
    this.#expected = true
    if (this.running) this.#child.kill('SIGTERM')
    return (await this.#exit)[0]
  }

  /** Its end is awaited: what it exits with. */
  async ends(): Promise<unknown> {
    this.#expected = true
    return (await this.#exit)[0]
  }

  /** The whole process stands still until `go`: an event loop that is stalled, or a machine that sleeps. */
  stall(): void {
    this.#child.kill('SIGSTOP')
  }

  go(): void {
    this.#child.kill('SIGCONT')
  }
}

/** Bridges side by side on the same queues. */
export class Fleet {
  readonly #options: BridgeOptions
  readonly members: Bridge[] = []
  /** Outputs of those that are gone. */
  readonly #past: Bridge[] = []

  constructor(options: BridgeOptions) {
    this.#options = options
  }

  /** Starts one more; the environment of this one may differ. */
  async add(env: Environment = {}, nodeFlags: readonly string[] = []): Promise<Bridge> {
    const bridge = this.#open(env, nodeFlags)
    this.members.push(bridge)
    return bridge.ready()
  }

  /** Kills a member and starts another one in its place, ready or not. */
  async replaceKilled(at: number, env: Environment = {}): Promise<Bridge> {
    const old = this.members[at] as Bridge
    await old.kill()
    this.#past.push(old)
    const bridge = this.#open(env, [])
    this.members[at] = bridge
    return bridge
  }

  /** Stops a member in order, and starts another one in its place. Gives what the old one exited with. */
  async replaceStopped(at: number): Promise<unknown> {
    const old = this.members[at] as Bridge
    const fresh = this.#open({}, [])
    await fresh.ready()
    const code = await old.stop()
    this.#past.push(old)
    this.members[at] = fresh
    return code
  }

  /** All that was ever written. */
  output(): string {
    return [...this.#past, ...this.members].map(({ output }) => output).join('\n')
  }

  logged(event: string): Record<string, unknown>[] {
    return [...this.#past, ...this.members].flatMap((bridge) => bridge.logged(event))
  }

  /** Fails when one of them has ended by itself. */
  checkAlive(): void {
    const dead = this.members.filter(({ died }) => died)
    expect(
      dead.map(({ output }) => output.slice(-3000)),
      'bridges that ended by themselves',
    ).toEqual([])
  }

  async kill(): Promise<void> {
    for (const bridge of this.members) {
      bridge.go()
      if (bridge.running) await bridge.kill()
    }
  }

  #open(env: Environment, nodeFlags: readonly string[]): Bridge {
    const { env: usual, cwd, nodeFlags: flags = [] } = this.#options
    return new Bridge({ env: { ...usual, ...env }, cwd, nodeFlags: [...flags, ...nodeFlags] })
  }
}
