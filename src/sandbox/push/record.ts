import type { ConnectionCard } from './connection.ts'

/** One attempt to connect. */
export interface PushConnect {
  /** By the sandbox's clock. */
  readonly atMs: number
  readonly transport: ConnectionCard['transport']
  /** `open`, `4010: Wrong Channel Id.` and the like, or `refused`. */
  readonly outcome: string
  /** What it asked for; missing when it was refused. */
  readonly asked?: ConnectionCard
}

/** A mobile notification that an application sent. */
export interface PushNotification {
  readonly clientId: string
  readonly userIds: readonly number[]
  readonly text: string
  readonly avatar: string
}

const LAST = 10_000

/** What a portal's push server has seen, the last ten thousand of each; and how it is told to refuse. */
export class PushRecord {
  readonly connects: PushConnect[] = []
  readonly notifications: PushNotification[] = []
  #refusals = 0
  #status = 0

  connected(connect: PushConnect): void {
    this.connects.push(connect)
    if (this.connects.length > LAST) this.connects.shift()
  }

  notified(notification: PushNotification): void {
    this.notifications.push(notification)
    if (this.notifications.length > LAST) this.notifications.shift()
  }

  /** The next `times` connects are answered with `status`; with 0 their connection is reset. */
  refuse(times: number, status: number): void {
    this.#refusals = times
    this.#status = status
  }

  /** The status that the connect at hand is to be refused with, or `undefined`. */
  takeRefusal(): number | undefined {
    if (this.#refusals <= 0) return undefined
    this.#refusals -= 1
    return this.#status
  }
}
