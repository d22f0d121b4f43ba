import { spawn } from 'node:child_process'

/** The process that watches over this one: systemd with `Type=notify`. Without one nothing is said to nobody. */
export interface ServiceManager {
  /** One line for `systemctl status`. */
  status(text: string): void
  /** The service works; from now on the watchdog is fed, where there is one. `status` is asked each time. */
  ready(status: () => string): void
  /** The service has begun to stop. */
  stopping(status: string): void
  /** Feeds the watchdog no longer. Twice is harmless. */
  close(): void
}

export interface ServiceManagerOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Of this process. */
  readonly pid: number
  /** Told once, when the manager cannot be reached. */
  readonly onTrouble: (reason: string) => void
}

/**
 * Speaks to systemd by its own tool `systemd-notify`, because Node has no datagram sockets of the kind that the
 * [protocol](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html) wants. The unit needs
 * `NotifyAccess=all`: the tool is a child of this process. Silent where `NOTIFY_SOCKET` is not set.
 */
export function createServiceManager(options: ServiceManagerOptions): ServiceManager {
  const { env, pid } = options
  const socket = env.NOTIFY_SOCKET
  const watchdogMs = watchdogOf(env, pid)
  let feeding: NodeJS.Timeout | undefined
  let troubled = false

  function say(...words: string[]): void {
    if (socket === undefined || socket === '') return
    // Only what the tool needs: the environment of a service may hold secrets.
    const tool = spawn('systemd-notify', words, {
      env: { NOTIFY_SOCKET: socket, ...(env.PATH === undefined ? {} : { PATH: env.PATH }) },
      stdio: 'ignore',
    })
    const trouble = (reason: string): void => {
      if (!troubled) options.onTrouble(reason)
      troubled = true
    }
    tool.on('error', (error) => trouble(error.message))
    tool.on('exit', (code) => {
      if (code !== 0 && code !== null) trouble(`systemd-notify ended with ${code}`)
    })
    tool.unref()
  }

  return {
    status: (text) => say(`STATUS=${text}`),
    ready(status) {
      if (socket === undefined || socket === '') return
      say('--ready', `STATUS=${status()}`)
      if (watchdogMs === undefined) return
      // Half of the time that systemd waits, as its manual advises; a process that hangs does not get here.
      feeding ??= setInterval(() => say('WATCHDOG=1', `STATUS=${status()}`), watchdogMs / 2).unref()
    },
    stopping: (status) => say('STOPPING=1', `STATUS=${status}`),
    close: () => clearInterval(feeding),
  }
}

/** Milliseconds after which systemd gives this process up; `undefined` when it does not watch it. */
function watchdogOf({ WATCHDOG_USEC, WATCHDOG_PID }: ServiceManagerOptions['env'], pid: number) {
  const ms = Number(WATCHDOG_USEC ?? '') / 1000
  const ours = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === pid
  return ours && Number.isFinite(ms) && ms >= 2 ? ms : undefined
}
