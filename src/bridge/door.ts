import type { Broker, Message } from '../brokers/broker.ts'
import type { Command } from '../model/command.ts'
import { BrokerError, CommandError, StoreError } from '../model/errors.ts'
import type { Outcome } from '../model/outcome.ts'
import type { Turns } from '../util/turns.ts'
import { execute } from './commands/execute.ts'
import { KEEP_REPLY_HEADER } from './commands/handle.ts'
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
  /** What this process does one at a time, whether it came by HTTP or by a queue. */
  readonly turns: Turns
  readonly broker: Pick<Broker, 'publish'>
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
   * Runs a command and gives its reply. A write whose `messageId` was seen before, here or on the command queue, gets the
   * earlier reply; while the first one still runs here, both wait for it. Rejects when nothing was run and the caller may
   * simply ask again: with a `StoreError`, or with a `CommandError` of status 503 while we shut down, or while another
   * process may be at it; and with one of status 422 for another command under the same `messageId`.
   */
  run(message: Message, signal: AbortSignal): Promise<{ readonly reply: Message }>
  /**
   * Puts a command on the command queue; `messageId` must be set. Rejects with a `CommandError` for a command that
   * cannot be parsed or repeats a `messageId` with another body, with a `BrokerError` when the queue cannot take it.
   * The same command again under the same `messageId` is put there again unless it is known to be there or has ended;
   * a write is not carried out twice.
   */
  enqueue(message: Message): Promise<void>
  /** The reply to an enqueued command; `'pending'` before it has ended, `undefined` for an unknown id. */
  find(id: string): Promise<Message | 'pending' | undefined>
}

export function createDoor(settings: DoorSettings): Door {
  const { contract, portals, ledger, turns, broker, commandQueue, now, newId } = settings
  const running = new Map<string, Promise<{ reply: Message }>>()
  /** Pages of commands that the broker has from us. */
  const queued = new Set<string>()

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

  async function run(message: Message, signal: AbortSignal): Promise<{ reply: Message }> {
    let command: Command
    try {
      command = contract.parse(message)
    } catch (error) {
      return { reply: encode(message, undefined, rejected(error)) }
    }
    const entry = entryFor(message, command)
    const work = (): Promise<{ reply: Message }> => carryOut(message, { command, entry, signal })
    return entry === undefined ? work() : turns.take(`write ${entry.key}`, work)
  }

  async function carryOut(
    message: Message,
    asked: {
      readonly command: Command
      readonly entry: LedgerEntry | undefined
      readonly signal: AbortSignal
    },
  ): Promise<{ reply: Message }> {
    const { command, entry, signal } = asked
    let portal: Portal | undefined
    try {
      const known = await entry?.recall()
      if (known?.reply !== undefined) return { reply: known.reply.message }
      if (known?.outcome?.failure === REUSED) throw reused()
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
      if (error instanceof StoreError || isRefusal(error)) throw error
      return { reply: encode(message, command, rejected(error), portal) }
    }
  }

  function entryFor(message: Message, command: Command): LedgerEntry | undefined {
    if (message.messageId === undefined || isReadCommand(command)) return undefined
    // The page of the same command on the queue, which is the same command.
    const place = commandQueue === undefined ? 'http-run' : `${contract.name} ${commandQueue}`
    return new LedgerEntry(ledger, `${place} ${message.messageId}`, requestHash(message))
  }

  return {
    run(message, signal) {
      const id = message.messageId
      if (id === undefined) return run(message, signal)
      const key = `${id} ${requestHash(message)}`
      let first = running.get(key)
      if (first === undefined) {
        first = run(message, signal).finally(() => running.delete(key))
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
      let since = await ledger.started(key, hash)
      const record = since === undefined ? await ledger.find(key) : undefined
      // Begun by us, without an answer from the store: it is taken back by looking at it.
      if (since === undefined && record === undefined) since = await ledger.started(key, hash)
      if (record !== undefined && record.requestHash !== hash) throw reused()
      // Whoever began it may have died before it was on the queue. Where it stands there twice it is carried out once.
      if (record?.state === 'done' || (since === undefined && queued.has(key))) return
      const headers = { ...message.headers, [KEEP_REPLY_HEADER]: key }
      try {
        await broker.publish({ exchange: '', routingKey: commandQueue }, { ...message, headers })
      } catch (error) {
        // Unless the broker may have stored it all the same, nobody will ever write its reply.
        const isStored = error instanceof BrokerError && error.mayBeStored
        if (since !== undefined && !isStored) await ledger.forget(key, since)
        throw error
      }
      queued.add(key)
      if (queued.size > MOST_QUEUED) queued.delete(queued.values().next().value as string)
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

/** The caller may ask again, or has given the id to another command before: nothing that a reply says. */
function isRefusal(error: unknown): boolean {
  return error instanceof CommandError && (error.status === 503 || error.code === REUSED.code)
}

/** Remembered only so that one who asks often does not fill the queue. */
const MOST_QUEUED = 10_000

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
