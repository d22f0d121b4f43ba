import type { CallCommand, Command } from '../../model/command.ts'
import { CommandError } from '../../model/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'

/** How a write is found again: a list method whose answer has a row when the write was carried out. */
export interface Lookup {
  readonly method: string
  readonly params: JsonObject
  /** What the method of the write would have answered for the row that was found. */
  readonly resultOf: (row: JsonObject) => Json
}

/** A command that can be found again. */
export interface Findable {
  /** The command with the mark put in. */
  readonly command: CallCommand
  readonly lookup: Lookup
}

/** The mark that says who made an object; what it is called by stands beside it. */
const ORIGINATOR = 'b24-bridge'

/** Where an object keeps the keys of other systems, and by which method it is found. */
interface Marks {
  readonly find: string
  readonly origin?: readonly [originator: string, origin: string]
  readonly xmlId?: string
  /** Parameters of the write that the list needs as well. */
  readonly also?: readonly string[]
  /** The answer of the write holds the whole object under this name, not just its id. */
  readonly wrapped?: string
}

const CLASSIC = { origin: ['ORIGINATOR_ID', 'ORIGIN_ID'] } as const

/**
 * https://apidocs.bitrix24.com/api-reference/crm/deals/crm-deal-add.html,
 * https://apidocs.bitrix24.com/api-reference/crm/universal/crm-item-add.html,
 * https://apidocs.bitrix24.com/api-reference/tasks/tasks-task-add.html
 */
const MARKS: Readonly<Record<string, Marks>> = {
  'crm.lead.add': { find: 'crm.lead.list', ...CLASSIC },
  'crm.deal.add': { find: 'crm.deal.list', ...CLASSIC },
  'crm.contact.add': { find: 'crm.contact.list', ...CLASSIC },
  'crm.company.add': { find: 'crm.company.list', ...CLASSIC },
  'crm.activity.add': { find: 'crm.activity.list', ...CLASSIC },
  'crm.item.add': {
    find: 'crm.item.list',
    origin: ['originatorId', 'originId'],
    xmlId: 'xmlId',
    also: ['entityTypeId'],
    wrapped: 'item',
  },
  'crm.product.add': { find: 'crm.product.list', xmlId: 'XML_ID' },
  'tasks.task.add': { find: 'tasks.task.list', xmlId: 'XML_ID', wrapped: 'task' },
}

/**
 * Makes a write findable as its `verify` says; `undefined` for commands without one. The mark is the message id; a key
 * that the sender has set himself is left as it is, and looked for instead.
 *
 * Throws a `CommandError` `VERIFY_NEEDS_ID` when there is no message id to mark it with, or `VERIFY_INVALID` when
 * objects of this method have no such key.
 */
export function makeFindable(command: Command, messageId: string | undefined): Findable | undefined {
  if (command.action !== 'call' || command.verify === undefined) return undefined
  const { verify, method } = command
  const params = command.params as JsonObject
  const marks = MARKS[method.toLowerCase()]
  const resultOf = resultIn(marks)
  if (typeof verify === 'object') return { command, lookup: { ...verify, resultOf } }
  const names = verify === 'origin' ? marks?.origin : marks?.xmlId === undefined ? undefined : [marks.xmlId]
  if (marks === undefined || names === undefined) throw noSuchKey(verify, method)
  const fields = isJsonObject(params.fields) ? params.fields : {}
  const key = names.at(-1) as string
  const own = isFilled(fields[key])
  if (!own && (messageId === undefined || messageId === '')) throw needsId()
  const marked: JsonObject = own
    ? fields
    : {
        ...fields,
        ...(names.length > 1 ? { [names[0] as string]: ORIGINATOR } : {}),
        [key]: messageId as string,
      }
  const filter = Object.fromEntries(
    names.filter((name) => isFilled(marked[name])).map((name) => [`=${name}`, marked[name] as Json]),
  )
  const also = Object.fromEntries((marks.also ?? []).map((name) => [name, params[name] ?? null]))
  const { rawParams, ...rest } = command
  return {
    command: { ...rest, params: { ...params, fields: marked } },
    lookup: { method: marks.find, params: { ...also, filter, order: { [idIn(marks)]: 'ASC' } }, resultOf },
  }
}

function resultIn(marks: Marks | undefined): Lookup['resultOf'] {
  const wrapped = marks?.wrapped
  return wrapped === undefined ? (row) => numberOf(row.ID ?? row.id ?? null) : (row) => ({ [wrapped]: row })
}

function idIn({ wrapped }: Marks): string {
  return wrapped === 'item' ? 'id' : 'ID'
}

/** Creating methods answer with a number where lists have text. */
function numberOf(id: Json): Json {
  const number = Number(id)
  return id !== null && Number.isSafeInteger(number) ? number : id
}

function isFilled(value: Json | undefined): boolean {
  return value !== undefined && value !== null && value !== ''
}

function noSuchKey(verify: string, method: string): CommandError {
  return new CommandError('VERIFY_INVALID', `What ${method} creates has no key for "${verify}".`, {
    hint: 'Name a list that finds it: "verify": { "method": "…list", "params": { "filter": { … } } }.',
  })
}

function needsId(): CommandError {
  return new CommandError('VERIFY_NEEDS_ID', 'Without a message_id there is nothing to find the object by.', {
    hint: 'Set the AMQP property message_id (over HTTP: the header Idempotency-Key), or fill the key yourself.',
  })
}
