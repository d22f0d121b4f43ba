import { createHash } from 'node:crypto'
import type { CallCommand, Command } from '../../model/command.ts'
import { FaultError } from '../../model/errors.ts'
import { isReadMethod } from '../../model/methods.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { Portal, Portals } from '../portals.ts'
import type { Begun, LedgerEntry } from './ledger-entry.ts'
import { type InDoubt, resolveDoubt } from './resolve.ts'
import { isV3, type RunOptions, rejected, runCommand } from './run.ts'
import { isOurTrouble } from './settle.ts'
import { type Findable, makeFindable } from './verify.ts'

/** What carrying out works with, the same for all commands of a queue. */
export interface ExecuteSettings extends Pick<RunOptions, 'source' | 'countLists' | 'maxListBytes'> {
  readonly portals: Pick<Portals, 'find'>
  /** Asked before the command is carried out: true when it was taken elsewhere. */
  readonly admit?: (portal: Portal) => Promise<boolean>
  /** Brings the command back after a wait, when it can: then nothing more is to be done with it here. */
  readonly park?: (waitMs: number) => Promise<boolean>
  /** How long a write in doubt is left alone before it is looked up or repeated. */
  readonly quietMs: number
  readonly signal: AbortSignal
  /** The ledger's clock. */
  readonly now: () => number
  readonly newId: () => string
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

export interface Execution {
  /** `aside`: it was taken elsewhere and has no outcome yet. */
  readonly outcome: Outcome | 'aside'
  /** Absent when none was found. */
  readonly portal?: Portal
}

/**
 * Carries a command out to its end. A write in doubt, now or since an earlier process, is looked up or repeated where the
 * command says how (`resolveDoubt`); otherwise it ends as `unknown`. Rejects only by a fault of ours,
 * with the foreign error.
 */
export async function execute(
  command: Command,
  {
    messageId,
    entry,
    begun,
  }: {
    readonly messageId: string | undefined
    readonly entry: LedgerEntry | undefined
    readonly begun?: Begun | undefined
  },
  settings: ExecuteSettings,
): Promise<Execution> {
  let portal: Portal | undefined
  try {
    const findable = makeFindable(command, messageId)
    const idempotencyKey = keyOf(command, entry, messageId, settings.newId)
    if (begun !== undefined && findable === undefined && idempotencyKey === undefined)
      return { outcome: begun.outcome }
    const asked = findable?.command ?? command
    const found = await settings.portals.find(asked)
    portal = found
    if ((await settings.admit?.(found)) === true) return { outcome: 'aside', portal }
    let sentAt = begun?.since ?? 0
    const beforeSend = (): Promise<void> | undefined => {
      sentAt = settings.now()
      return entry?.claim()
    }
    const run = (inDoubt: boolean): Promise<Outcome> =>
      runCommand(asked, found, {
        ...settings,
        ...(entry === undefined && findable === undefined ? {} : { beforeSend }),
        ...(idempotencyKey === undefined ? {} : { idempotencyKey, inDoubt }),
      })
    const runAgain = (): Promise<Outcome> => {
      entry?.leaveOpen()
      return run(true)
    }
    const outcome = begun?.outcome ?? (await run(false))
    if (outcome.kind !== 'unknown' || asked.action !== 'call') return { outcome, portal }
    // The lane has repeated it as often as it may, unless it was begun elsewhere or this process is ending.
    const isOpen = (): boolean => begun !== undefined || (entry !== undefined && settings.signal.aborted)
    const resolved = await resolve(
      asked,
      { sentAt, outcome, repeats: begun?.repeats ?? 0 },
      { found, findable, entry, keyed: idempotencyKey !== undefined && isOpen(), run: runAgain, settings },
    )
    return { outcome: resolved, portal }
  } catch (error) {
    if (error instanceof FaultError) throw error.cause
    const failed = rejected(error)
    // What was begun is not "failed" because it can no more be looked up.
    const outcome = begun === undefined || isOurTrouble(failed) ? failed : begun.outcome
    return { outcome, ...(portal === undefined ? {} : { portal }) }
  }
}

async function resolve(
  command: CallCommand,
  doubt: InDoubt,
  how: {
    readonly found: Portal
    readonly findable: Findable | undefined
    readonly entry: LedgerEntry | undefined
    readonly keyed: boolean
    readonly run: () => Promise<Outcome>
    readonly settings: ExecuteSettings
  },
): Promise<Outcome | 'aside'> {
  const { found, findable, entry, keyed, run, settings } = how
  const outcome = await resolveDoubt(doubt, {
    ...settings,
    command,
    portal: found,
    keyed,
    ...(findable === undefined ? {} : { lookup: findable.lookup }),
    run,
    // Only what the ledger knows may come back as a new delivery.
    ...(entry === undefined || settings.park === undefined ? {} : { park: settings.park }),
  })
  if (outcome === 'aside') return outcome
  if (outcome.kind !== 'failed' || outcome.attempts > 0) return outcome
  // Handed back in the middle: whoever gets it must see that it was begun. Where the ledger does not say so, it stays here.
  if (entry === undefined) return doubt.outcome
  entry.leaveOpen()
  return outcome
}

/** The key of a write to REST v3: the same for the same command, however often it is delivered. */
function keyOf(
  command: Command,
  entry: LedgerEntry | undefined,
  messageId: string | undefined,
  newId: () => string,
): string | undefined {
  if (command.action !== 'call' || !isV3(command) || isReadMethod(command.method)) return undefined
  // Without an id nobody can send the same command again; the key serves this one delivery only.
  const name = entry?.key ?? messageId ?? newId()
  return `b24-${createHash('sha256').update(name).digest('hex').slice(0, 40)}`
}
