import type { Address, Message } from '../../brokers/broker.ts'
import type { Command } from '../../model/command.ts'
import { CommandError } from '../../model/errors.ts'
import { isJsonObject, type Json } from '../../model/json.ts'
import type { Outcome } from '../../model/outcome.ts'
import { type ExecuteSettings, execute } from '../commands/execute.ts'
import { type Ledger, requestHash } from '../commands/ledger.ts'
import { LedgerEntry } from '../commands/ledger-entry.ts'
import { isReadCommand, rejected, tooLargeToReply } from '../commands/run.ts'
import { isOurTrouble, mayHaveRun, settlement } from '../commands/settle.ts'
import type { Contract } from '../contracts/contract.ts'
import type { Portal } from '../portals.ts'
import { type CallbackRules, parseCallback } from './callback.ts'
import { checkStep, nextRow, stepsOf } from './chain.ts'
import { identityOf, messageOf } from './row.ts'
import type { InboxReply, OutboxEnd, OutboxRow } from './store.ts'

/** What carrying out a row works with. */
export interface CarrySettings extends Omit<ExecuteSettings, 'admit' | 'park'> {
  readonly contract: Contract
  readonly ledger: Ledger
  readonly rules: CallbackRules
  /** A longer reply is replaced by one that says so. */
  readonly maxReplyBytes: number
  /** True when the portal has enough in hand; the row comes again later. */
  readonly isTooMuch: (portal: Portal, row: OutboxRow) => boolean
  /** Processes have ended with it: it is not tried any more. */
  readonly isConvicted: boolean
}

/** What became of a row: an end to be written, or a rest after which it is taken again. */
export type Carried =
  | {
      readonly end: OutboxEnd /** The same with a reply of a few words. */
      readonly smaller: () => OutboxEnd
    }
  | { readonly restMs: number }

const BLOCKED_REST_MS = 30_000
const TROUBLE_REST_MS = 5000

/**
 * Carries a row out, as a native command is. A row that cannot be read, or whose callback or chain can never work, ends
 * as failed before anything is sent. A write is entered in the ledger under the row's identity before it leaves, so that
 * a row that is taken again is answered from there. Rejects only through a fault of ours: the row is taken again then.
 */
export async function carryOut(row: OutboxRow, settings: CarrySettings): Promise<Carried> {
  let command: Command | undefined
  let portal: Portal | undefined
  let message = EMPTY
  let restMs = BLOCKED_REST_MS

  const ended = (outcome: Outcome, kept?: Message): Carried => {
    const reply = kept ?? encode(outcome)
    const tooLarge = reply.body.length > settings.maxReplyBytes
    const smaller = (): OutboxEnd =>
      endOf(row, encode(tooLargeToReply(command, outcome)), undefined, settings)
    if (tooLarge) return { end: smaller(), smaller }
    return { end: endOf(row, reply, outcome, settings), smaller }
  }
  const encode = (outcome: Outcome): Message =>
    settings.contract.reply(message, command, outcome, {
      now: settings.now(),
      newId: settings.newId(),
      ...(portal === undefined ? {} : { portal: portal.domain }),
    })

  const conclude = async (outcome: Outcome, entry: LedgerEntry | undefined): Promise<Carried> => {
    const reply = { address: NOWHERE, message: encode(outcome) }
    const counts = (await entry?.end(reply, mayHaveRun(outcome))) ?? reply
    return counts === reply ? ended(outcome) : ended(outcomeOf(counts.message), counts.message)
  }

  try {
    message = messageOf(row)
    checkStep(row)
    stepsOf(row)
    parseCallback(row.callback, settings.rules)
    command = settings.contract.parse(message)
    // One that was taken before may have ended then, and only its row does not say so.
    const isTakenAgain = (): boolean => row.attempts > 1
    const entry = isReadCommand(command)
      ? undefined
      : new LedgerEntry(settings.ledger, `outbox ${identityOf(row)}`, requestHash(message), isTakenAgain)
    const known = await entry?.recall()
    if (known?.reply !== undefined) return ended(outcomeOf(known.reply.message), known.reply.message)
    if (known?.outcome !== undefined) return ended(known.outcome)
    // Whoever had the row before may be at it still.
    const quietMs = known === undefined ? 0 : (entry?.quietLeft(known) ?? 0)
    if (quietMs > 0) return { restMs: quietMs }
    if (settings.isConvicted) return await conclude(known?.begun?.outcome ?? rejected(gaveUp(row)), entry)
    const carried = await execute(
      inTime(command, row, settings.ledger.now()),
      { messageId: message.messageId, entry, begun: known?.begun },
      {
        ...settings,
        now: settings.ledger.now,
        admit: async (asked) => settings.isTooMuch(asked, row),
        park: async (waitMs) => {
          restMs = waitMs
          return true
        },
      },
    )
    portal = carried.portal
    if (carried.outcome === 'aside') return { restMs }
    const { outcome } = carried
    if (settlement(outcome, true) === 'requeue') {
      await entry?.withdraw()
      return { restMs: isOurTrouble(outcome) ? TROUBLE_REST_MS : 0 }
    }
    return await conclude(outcome, entry)
  } catch (error) {
    const failed = rejected(error)
    return isOurTrouble(failed) ? { restMs: TROUBLE_REST_MS } : ended(failed)
  }
}

const EMPTY: Message = { body: Buffer.from('{}'), headers: {} }
/** Replies to rows go by no queue. */
const NOWHERE: Address = { exchange: '', routingKey: '' }

/** A deadline counts from the moment at which the row was due. Throws a `CommandError` when it has passed. */
function inTime(command: Command, row: OutboxRow, now: number): Command {
  if (command.deadlineMs === undefined) return command
  const leftMs = command.deadlineMs - Math.max(0, now - Math.max(row.created_at, row.not_before ?? 0))
  if (leftMs > 0) return { ...command, deadlineMs: leftMs }
  throw new CommandError('DEADLINE_EXCEEDED', 'The deadline passed before the row was taken', {
    status: 504,
    hint: 'Allow more time.',
  })
}

function gaveUp({ attempts }: OutboxRow): CommandError {
  return new CommandError(
    'ROW_DEAD',
    `The bridge ended again and again while it carried this row out, ${attempts - 1} times in all`,
    {
      status: 500,
      hint: 'Report it: this is a fault of ours. Look into the log, and in Bitrix24, before you write the row anew.',
    },
  )
}

/** An earlier process had it; what it kept says how it ended. */
function outcomeOf({ headers }: Message): Outcome {
  const kind = headers['x-b24-outcome']
  return { kind: kind === 'done' || kind === 'failed' ? kind : 'unknown', status: 200, attempts: 0 }
}

/** Reply and, after a good end, the next row. `outcome` is absent when the reply does not hold the result. */
function endOf(
  row: OutboxRow,
  { body }: Message,
  outcome: Outcome | undefined,
  settings: CarrySettings,
): OutboxEnd {
  const { result = null, meta: _, ...details } = parseReply(body)
  const kind = details.outcome as InboxReply['outcome']
  const failure = isJsonObject(details.error) ? details.error : undefined
  const code = failure === undefined ? null : textOf(failure.code).slice(0, 255)
  const error = failure === undefined ? null : sentenceOf(failure.description, failure.hint)
  const next = kind === 'done' && outcome !== undefined ? nextRow(row, result) : undefined
  return {
    id: row.id,
    state: code === 'ROW_DEAD' ? 'dead' : kind,
    error: error === null ? null : `${code}: ${error}`,
    reply: {
      kind: 'reply',
      outbox_id: row.id,
      chain_id: row.chain_id ?? (row.then_run === null ? null : row.id),
      chain_step: row.chain_step,
      message_id: row.message_id,
      portal: typeof details.portal === 'string' ? details.portal.slice(0, 255) : row.portal,
      name: row.method,
      outcome: kind,
      status_code: Number(details.status_code),
      result: result === null ? null : JSON.stringify(result),
      error_code: code,
      error,
      meta: isJson(row.meta) ? row.meta : null,
      details: JSON.stringify(details),
      ...callbackOf(row, settings.rules),
    },
    ...(next === undefined ? {} : { next }),
  }
}

function callbackOf(
  { callback }: OutboxRow,
  rules: CallbackRules,
): Pick<InboxReply, 'callback' | 'callback_state' | 'callback_at'> {
  try {
    const target = parseCallback(callback, rules)
    // In one spelling, by which it is found.
    const place = target.kind === 'http' ? target.url.href : callback?.trim()
    if (target.kind !== 'row') return { callback: place ?? null, callback_state: 'waiting', callback_at: 0 }
  } catch {
    // The row has failed because of it.
  }
  return { callback, callback_state: null, callback_at: null }
}

function parseReply(body: Buffer): Record<string, Json> {
  return JSON.parse(body.toString()) as Record<string, Json>
}

function isJson(text: string | null): boolean {
  try {
    return text !== null && JSON.parse(text) !== undefined
  } catch {
    return false
  }
}

function sentenceOf(description: Json | undefined, hint: Json | undefined): string {
  return hint === undefined ? textOf(description) : `${textOf(description)} ${textOf(hint)}`
}

/** Databases keep no zero bytes in text. */
function textOf(value: Json | undefined): string {
  return String(value ?? '').replaceAll('\0', '')
}
