import { createHash } from 'node:crypto'
import { CommandError } from '../../model/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import { fillReferences, missingReference, type Reference, referencesIn, valueAt } from './references.ts'
import { jsonOf, OPTION_KEYS, optionsOf } from './row.ts'
import type { NextRow, OutboxRow } from './store.ts'

const MOST_STEPS = 50
const STEP_KEYS = [
  'portal',
  'method',
  'params',
  'action',
  'as',
  'meta',
  'orderKey',
  'priority',
  'callback',
  ...OPTION_KEYS,
]

/** The commands that are to run after a row; none for most. Throws a `CommandError` for what can never work. */
export function stepsOf(row: Pick<OutboxRow, 'then_run' | 'chain_step'>): readonly JsonObject[] {
  const steps = jsonOf(row, 'then_run') ?? []
  const list = isJsonObject(steps) ? [steps] : steps
  if (!Array.isArray(list) || !list.every(isJsonObject) || list.length > MOST_STEPS)
    throw invalid(`then_run must be a list of at most ${MOST_STEPS} commands.`)
  list.forEach((step: JsonObject, index) => {
    const own = row.chain_step + 1 + index
    const odd = Object.keys(step).find((key) => !STEP_KEYS.includes(key))
    if (odd !== undefined)
      throw invalid(`Step ${own} has a key "${odd.slice(0, 60)}"; the keys are ${STEP_KEYS.join(', ')}.`)
    for (const { text, step: wanted = own - 1 } of referencesIn(step))
      if (wanted >= own) throw invalid(`Step ${own} refers to {{${text}}}, which comes later.`)
  })
  return list as readonly JsonObject[]
}

interface Kept {
  /** What later steps refer to, by the text of the reference. */
  readonly values: JsonObject
  /** Code and sentence of another fault of a reference. */
  readonly fault?: string
}

/**
 * The row that is to run after one that was done, made of the first of its steps and the row's result; `undefined` when
 * the chain has ended. Portal, user, application, order key, priority, meta and callback are handed on unless the step
 * says otherwise. A reference that leads nowhere, now or for a later step, makes a row that ends as failed.
 */
export function nextRow(row: OutboxRow, result: Json): NextRow | undefined {
  const [step, ...rest] = stepsOf(row)
  if (step === undefined) return undefined
  const earlier = keptOf(row).values
  const known = (reference: Reference): Json => {
    if (reference.step === undefined || reference.step === row.chain_step) return valueAt(result, reference)
    const value = Object.hasOwn(earlier, reference.text) ? earlier[reference.text] : undefined
    if (value === undefined) throw missingReference(reference.text)
    return value
  }
  let filled = step
  let kept: Kept = { values: {} }
  try {
    const later = referencesIn(rest).filter((one) => one.step !== undefined && one.step <= row.chain_step)
    kept = { values: Object.fromEntries(later.map((one) => [one.text, known(one)])) }
    filled = fillReferences(step, known) as JsonObject
    checkLengths(filled)
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    kept = { values: {}, fault: `${error.code}: ${error.message}` }
  }
  return rowOf(row, kept.fault === undefined ? filled : fitting(step), rest, kept)
}

/** Throws the `CommandError` of a step whose references led nowhere. */
export function checkStep(row: OutboxRow): void {
  const { fault } = keptOf(row)
  if (fault === undefined) return
  const [code = '', ...words] = fault.split(': ')
  throw new CommandError(code, words.join(': '), {
    hint: 'Look at the results of the earlier steps in b24_inbox; names are case-sensitive.',
  })
}

function keptOf(row: OutboxRow): Kept {
  const kept = jsonOf(row, 'chain_values')
  return (isJsonObject(kept) ? kept : { values: {} }) as unknown as Kept
}

/** A step that will not run, with what is needed to see which one it is. */
function fitting({ method, meta, callback }: JsonObject): JsonObject {
  return {
    ...(typeof method === 'string' ? { method: method.slice(0, 255) } : {}),
    ...(meta === undefined ? {} : { meta }),
    ...(callback === undefined ? {} : { callback }),
  }
}

function rowOf(row: OutboxRow, step: JsonObject, rest: readonly JsonObject[], kept: Kept): NextRow {
  const number = row.chain_step + 1
  const { application } = optionsOf(row)
  const options: Record<string, Json> = application === undefined ? {} : { application }
  for (const key of OPTION_KEYS) if (step[key] !== undefined) options[key] = step[key]
  const json = (value: Json | undefined): string | null =>
    value === undefined ? null : JSON.stringify(value)
  // What is no text fails when the row is taken, with a sentence, instead of here.
  const text = (value: Json | undefined, otherwise: string | null): string | null =>
    value === undefined
      ? otherwise
      : typeof value === 'string' || value === null
        ? value
        : JSON.stringify(value)
  return {
    portal: text(step.portal, row.portal),
    method: text(step.method, null),
    params: json(step.params),
    action: text(step.action, null),
    as_user: text(step.as, row.as_user),
    options: Object.keys(options).length === 0 ? null : JSON.stringify(options),
    meta: step.meta === undefined ? row.meta : JSON.stringify(step.meta),
    order_key: text(step.orderKey, row.order_key),
    priority: text(step.priority, row.priority),
    message_id: idOf(row, number),
    callback: text(step.callback, row.callback),
    then_run: rest.length === 0 ? null : JSON.stringify(rest),
    chain_id: row.chain_id ?? row.id,
    chain_step: number,
    chain_values:
      Object.keys(kept.values).length > 0 || kept.fault !== undefined ? JSON.stringify(kept) : null,
  }
}

/** Characters that the columns hold. */
const LENGTHS = { portal: 255, method: 255, action: 16, as: 64, orderKey: 255, priority: 16 } as const

function checkLengths(step: JsonObject): void {
  for (const [key, most] of Object.entries(LENGTHS)) {
    const value = step[key]
    if (value !== undefined && String(value).length > most)
      throw new CommandError('CHAIN_INVALID', `"${key}" of the step has more than ${most} characters.`)
  }
}

/** The same for the same step of the same chain, so that a chain that is written twice runs once. */
function idOf({ message_id, chain_step }: OutboxRow, number: number): string | null {
  if (message_id === null || message_id === '') return null
  const base = chain_step > 0 ? message_id.replace(/\/\d+$/, '') : message_id
  const short = base.length <= 240 ? base : createHash('sha256').update(base).digest('hex')
  return `${short}/${number}`
}

function invalid(sentence: string): CommandError {
  return new CommandError('CHAIN_INVALID', sentence, {
    hint: 'Write a JSON list of commands: [{ "method": "crm.deal.get", "params": { "id": "{{result}}" } }].',
  })
}
