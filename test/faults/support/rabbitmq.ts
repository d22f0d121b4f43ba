import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectAmqp } from 'amqplib'

/** Where a node of our own lives; as text it travels to the processes that run the tests. */
export interface RabbitPlace {
  /** Folder of the server's programs. */
  readonly programs: string
  /** Data, logs and cookie. */
  readonly folder: string
  /** For AMQP; the two after it are for the node's own talk. */
  readonly port: number
}

const READY_MS = 120_000

/** A RabbitMQ that may be stopped, killed and alarmed: name, ports, data and cookie are its own. */
export class RabbitNode {
  readonly #place: RabbitPlace

  constructor(place: RabbitPlace) {
    this.#place = place
  }

  get url(): string {
    return `amqp://guest:guest@127.0.0.1:${this.#place.port}`
  }

  /** Starts the server and waits until a client gets in. */
  async start(): Promise<void> {
    const { programs, folder } = this.#place
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'rabbit.conf'), `listeners.tcp.1 = 127.0.0.1:${this.#place.port}\n`)
    writeFileSync(join(folder, 'plugins'), '[].')
    const log = openSync(join(folder, 'output'), 'a')
    const server = spawn(join(programs, 'rabbitmq-server'), [], {
      cwd: folder,
      env: this.#env(),
      stdio: ['ignore', log, log],
      detached: true,
    })
    server.unref()
    await this.answers()
  }

  /** Waits until a client gets in. */
  async answers(): Promise<void> {
    for (const end = Date.now() + READY_MS; Date.now() < end; await sleep(200)) {
      try {
        const connection = await connectAmqp(this.url, { timeout: 3000 })
        connection.on('error', () => undefined)
        await connection.close()
        return
      } catch {
        // Not yet.
      }
    }
    throw new Error(`RabbitMQ does not answer: see ${join(this.#place.folder, 'output')}`)
  }

  /** `rabbitmqctl`: what it prints. */
  ctl(...words: string[]): string {
    const { programs, folder } = this.#place
    const run = spawnSync(join(programs, 'rabbitmqctl'), words, {
      cwd: folder,
      env: this.#env(),
      encoding: 'utf8',
      timeout: 120_000,
    })
    if (run.status !== 0) throw new Error(`rabbitmqctl ${words.join(' ')}: ${run.stderr}${run.stdout}`)
    return run.stdout
  }

  /** SIGKILL: nothing is flushed, nobody is told. Resolves when the port is closed. */
  async kill(): Promise<void> {
    process.kill(this.#pid(), 'SIGKILL')
    await closed(this.#place.port)
  }

  /** The end of all tests, also of those that were interrupted: nothing of it is left running. */
  end(): void {
    try {
      process.kill(this.#pid(), 'SIGKILL')
    } catch {
      // It is gone already.
    }
    const epmd = ['-port', String(this.#place.port + 2), '-kill']
    spawnSync('epmd', epmd, { stdio: 'ignore', timeout: 10_000 })
  }

  #pid(): number {
    return Number(readFileSync(join(this.#place.folder, 'pid'), 'utf8').trim())
  }

  #env(): NodeJS.ProcessEnv {
    const { folder, port } = this.#place
    return {
      PATH: process.env.PATH,
      LANG: 'C.UTF-8',
      HOME: folder,
      ERL_EPMD_PORT: String(port + 2),
      RABBITMQ_NODENAME: `b24faults${port}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_NODE_PORT: String(port),
      RABBITMQ_DIST_PORT: String(port + 1),
      RABBITMQ_MNESIA_BASE: join(folder, 'data'),
      RABBITMQ_LOG_BASE: join(folder, 'log'),
      RABBITMQ_PID_FILE: join(folder, 'pid'),
      RABBITMQ_CONFIG_FILE: join(folder, 'rabbit.conf'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
      // Names of files that do not exist, so that the machine's own settings are not read.
      RABBITMQ_CONF_ENV_FILE: join(folder, 'none.env'),
      RABBITMQ_ADVANCED_CONFIG_FILE: join(folder, 'none.config'),
    }
  }
}

/** Folder with the programs of the installed server, or `undefined`. */
export function rabbitPrograms(): string | undefined {
  // The package's `rabbitmq-server` on the path changes the user and the folder; the one below does neither.
  const folders = ['/usr/lib/rabbitmq/bin', ...(process.env.PATH ?? '').split(':')]
  return folders.find((folder) =>
    ['rabbitmq-server', 'rabbitmqctl'].every((name) => existsSync(join(folder, name))),
  )
}

/** Resolves when nobody listens there any more. */
async function closed(port: number): Promise<void> {
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
      socket.on('connect', () => socket.destroy())
    })
    if (!open) return
    await sleep(50)
  }
}
