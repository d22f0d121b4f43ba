import type { PushClient, PushConnection } from '../../../client/push/client.ts'
import { type PushConfig, parsePushConfig } from '../../../client/push/config.ts'
import type { PushMode } from '../../../client/push/core.ts'
import type { Connected } from '../../../client/push/moves.ts'
import { decodePosition } from '../../../client/push/position.ts'
import type { Portals } from '../../portals.ts'
import type { EventOutlet } from '../outlet.ts'
import type { PushKey } from './event.ts'
import { Outflow, type PushFate } from './outflow.ts'

/** What all listeners of a process share. */
export interface ListenerParts {
  readonly client: Pick<PushClient, 'open'>
  readonly portals: Pick<Portals, 'find'>
  readonly outlet: Pick<EventOutlet, 'publish'>
  readonly now: () => number
  /** Offline events wait, or may: fetch them. */
  readonly onOffline: (key: PushKey) => void
  /** So long nothing was heard that something may be lost: compare with the portal. */
  readonly onGap: (key: PushKey, gapMs: number) => void
  readonly onMessage: (fate: PushFate) => void
  readonly onConnected: (again: boolean) => void
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** A portal that answers nothing at all is given up for the moment. */
const ASK_DEADLINE_MS = 120_000

/** One application on one portal: its connection, and what becomes of its messages. */
export class Listener {
  readonly key: PushKey
  readonly #parts: ListenerParts
  readonly #connection: PushConnection
  readonly #outflow: Outflow
  #domain = ''
  #connections = 0

  constructor(
    key: PushKey,
    parts: ListenerParts,
    cursor: { readonly value: string; readonly updatedAt: number } | undefined,
  ) {
    this.key = key
    this.#parts = parts
    const position = cursor && decodePosition(cursor.value)
    const { now, outlet } = parts
    const log = (event: string, fields: Readonly<Record<string, unknown>>): void =>
      parts.log(event, { ...this.#named(), ...fields })
    this.#outflow = new Outflow({
      key,
      domain: () => this.#domain,
      outlet,
      position,
      now,
      onOffline: () => parts.onOffline(key),
      onHandled: (message, fate) => {
        this.#connection.handled([message])
        parts.onMessage(fate)
      },
      onBehind: (behind) => {
        log(behind ? 'push.behind' : 'push.caught-up', {})
        if (behind) this.#connection.hold()
        else this.#connection.release()
      },
      log,
    })
    this.#connection = parts.client.open({
      ask: () => this.#ask(),
      position,
      heardAt: cursor?.updatedAt,
      onMessages: (messages) => this.#outflow.push(messages),
      onConnected: (connected) => this.#connected(connected),
      report: log,
    })
  }

  get mode(): PushMode {
    return this.#connection.mode
  }

  get position(): Pick<Outflow, 'unsaved' | 'current' | 'kept'> {
    return this.#outflow
  }

  retry(): void {
    this.#connection.retry()
  }

  /** Hears nothing more; what was heard gets so long to reach the broker. */
  async finish(withinMs: number): Promise<void> {
    this.#connection.close()
    await this.#outflow.idle(withinMs)
    this.#outflow.close()
  }

  /** Ends at once: another process listens. */
  close(): void {
    this.#connection.close()
    this.#outflow.close()
  }

  /** https://apidocs.bitrix24.com/settings/interactivity/push-and-pull/pull-application-config-get.html */
  async #ask(): Promise<PushConfig> {
    const { memberId, clientId } = this.key
    const { lane, credential, domain } = await this.#parts.portals.find({
      portal: memberId,
      application: clientId,
    })
    this.#domain = domain
    const calls = [{ method: 'pull.application.config.get', params: { CACHE: 'N' } }]
    const options = { credential, source: 'push', deadlineMs: ASK_DEADLINE_MS }
    const [settled] = await lane.submit({ calls, options })
    if (settled?.error !== undefined) throw settled.error
    return parsePushConfig(settled?.answer?.body.result, { secure: credential.origin.startsWith('https:') })
  }

  #connected({ transport, begin, gapMs }: Connected): void {
    const { log, onConnected, onGap, onOffline } = this.#parts
    if (begin !== undefined) this.#outflow.begin(begin)
    this.#connections++
    onConnected(this.#connections > 1)
    log('push.connected', { ...this.#named(), transport, connections: this.#connections })
    // Whatever came while nobody listened may have been told in vain.
    onOffline(this.key)
    if (gapMs === undefined) return
    log('push.gap', { ...this.#named(), gapMs })
    onGap(this.key, gapMs)
  }

  #named(): { member: string; application: string } {
    return { member: this.key.memberId, application: this.key.clientId }
  }
}
