import type { Broker, Message } from '../brokers/broker.ts'
import type { Command } from '../model/command.ts'
import { BrokerError, CommandError, StoreError } from '../model/errors.ts'
import type { Outcome } from '../model/outcome.ts'
import { KEEP_REPLY_HEADER } from './commands/consume.ts'
import { execute } from './commands/execute.ts'
import { decodeKept, type Ledger, NOT_KEPT, REUSED, requestHash } from './commands/ledger.ts'
import { begunElsewhere, LedgerEntry } from './commands/ledger-entry.ts'
import { isReadCommand, rejected } from './commands/run.ts'
import { mayHaveRun, settlement } from './commands/settle.ts'
import type { Contract } from './contracts/contract.ts'
import type { Portal, Portals } from './portals.ts'

/** What the door for callers without a queue is made of. */
export interface DoorSettings {
  /** The native contract, whatever contract the queues speak. */
  readonly contract: Contract
  readonly portals: Portals
  readonly ledger: Ledger
  readonly broker: Broker
  /** The queue for commands that are not waited for; `undefined` when it speaks another contract. */
  readonly commandQueue: string | undefined
  /** How long a write in doubt is left alone before it is looked up or repeated. */
  readonly quietMs: number
  readonly now: () => number
  readonly newId: () => string
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** Commands from callers who speak HTTP, run by the same lanes and remembered in the same ledger. */
export interface Door {
  /**
   * Runs a command and gives its reply. A write whose `messageId` was seen before gets the earlier reply; while the
   * first one still runs, both wait for it. Rejects when nothing was run and the caller may simply ask again: with a
   * `StoreError`, or with a `CommandError` of status 503 while we shut down.
   */
  run(message: Message, signal: AbortSignal): Promise<{ readonly reply: Message }>
  /**
   * Puts a command on the command queue; `messageId` must be set. Rejects with a `CommandError` for a command that
   * cannot be parsed or repeats a `messageId` with another body, with a `BrokerError` when the queue cannot take it.
   * The same command again under the same `messageId` is not run twice.
   */
  enqueue(message: Message): Promise<void>
  /** The reply to an enqueued command; `'pending'` before it has ended, `undefined` for an unknown id. */
  find(id: string): Promise<Message | 'pending' | undefined>
}

export function createDoor(settings: DoorSettings): Door {
  const { contract, portals, ledger, broker, commandQueue, now, newId } = settings
  const running = new Map<string, Promise<{ reply: Message }>>()

  const encode = (
    message: Message,
    command: Command | undefined,
    outcome: Outcome,
    portal?: Portal,
  ): Message =>
    contract.reply(message, command, outcome, {
      now: now(),
      newId: newId(),
      ...(portal === undefined ? {} : { portal: portal.domain }),
    })

  async function carryOut(message: Message, signal: AbortSignal): Promise<{ reply: Message }> {
    let command: Command | undefined
    let portal: Portal | undefined
    try {
      command = contract.parse(message)
      const entry = entryFor(message, command)
      const known = await entry?.recall()
      if (known?.reply !== undefined) return { reply: known.reply.message }
      if (known?.outcome !== undefined) return { reply: encode(message, command, known.outcome) }
      if (known !== undefined && (entry?.quietLeft(known) ?? 0) > 0) throw begunElsewhere()
      const { messageId } = message
      const { outcome, ...found } = await execute(
        command,
        { messageId, entry, begun: known?.begun },
        { ...settings, now: ledger.now, source: 'http', signal },
      )
      // Nobody waits for an answer from a queue here, so nothing is put aside.
      if (outcome === 'aside') throw new Error('a command of a caller was put aside')
      portal = found.portal
      if (settlement(outcome, true) === 'requeue') {
        await entry?.withdraw()
        throw withdrawn(outcome)
      }
      const reply = {
        address: { exchange: '', routingKey: '' },
        message: encode(message, command, outcome, portal),
      }
      const counts = (await entry?.end(reply, mayHaveRun(outcome))) ?? reply
      return { reply: counts.message }
    } catch (error) {
      if (error instanceof StoreError || (error instanceof CommandError && error.status === 503)) throw error
      return { reply: encode(message, command, rejected(error), portal) }
    }
  }

  function entryFor(message: Message, command: Command): LedgerEntry | undefined {
    if (message.messageId === undefined || isReadCommand(command)) return undefined
    return new LedgerEntry(ledger, `http-run ${message.messageId}`, requestHash(message))
  }

  return {
    run(message, signal) {
      const id = message.messageId
      if (id === undefined) return carryOut(message, signal)
      const key = `${id} ${requestHash(message)}`
      let first = running.get(key)
      if (first === undefined) {
        first = carryOut(message, signal).finally(() => running.delete(key))
        running.set(key, first)
      }
      return first
    },

    async enqueue(message) {
      if (commandQueue === undefined) {
        throw new CommandError(
          'ASYNC_NOT_AVAILABLE',
          'The command queue of this bridge speaks an older contract',
          {
            status: 409,
            hint: 'Wait for the reply instead, or publish to the queue yourself.',
          },
        )
      }
      await portals.find(contract.parse(message))
      const key = keyOf(message.messageId as string)
      const hash = requestHash(message)
      const record = await ledger.find(key)
      if (record !== undefined && record.requestHash !== hash) throw reused()
      // It is done, or on its way: unless its publication failed, the reply will come.
      if (record !== undefined) return
      const since = await ledger.started(key, hash)
      if (since === undefined) return
      const headers = { ...message.headers, [KEEP_REPLY_HEADER]: key }
      try {
        await broker.publish({ exchange: '', routingKey: commandQueue }, { ...message, headers })
      } catch (error) {
        // Unless the broker may have stored it all the same, nobody will ever write its reply.
        if (!(error instanceof BrokerError && error.mayBeStored)) await ledger.forget(key, since)
        throw error
      }
    },

    async find(id) {
      const record = await ledger.find(keyOf(id))
      if (record === undefined) return undefined
      if (record.state === 'started') return 'pending'
      return (
        decodeKept(record.reply)?.message ??
        encode({ body: Buffer.alloc(0), headers: {}, messageId: id }, undefined, notKept())
      )
    },
  }
}

function withdrawn(outcome: Outcome): CommandError {
  const { code = 'CLIENT_CLOSED', description = '' } = outcome.failure ?? {}
  return new CommandError(code, description, {
    status: 503,
    hint: 'Nothing was done; send it again in a moment.',
  })
}

function keyOf(id: string): string {
  return `http ${id}`
}

function reused(): CommandError {
  const { code, description, hint = '' } = REUSED
  return new CommandError(code, description, { status: 422, hint })
}

function notKept(): Outcome {
  return { kind: 'unknown', status: 200, attempts: 1, failure: NOT_KEPT }
}
