import type { Message } from '../../brokers/broker.ts'
import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'

/** A command of the demo with what its reply must say. */
export interface DemoCommand {
  readonly id: string
  readonly body: JsonObject
  /** REST calls that somebody without a bridge would have made for it. */
  readonly calls: number
  /** Why the reply is not right, or `undefined` when it is. */
  readonly wrong: (reply: JsonObject) => string | undefined
}

/** How many deals the sandbox of the demo has. */
export const DEMO_DEALS = 20_000

const BATCH_SIZE = 120

/**
 * The commands of the demo, in the order in which they are sent: single calls of four kinds, some that must fail, one
 * list over every deal, one explicit batch of 120.
 */
export function demoCommands(count: number): DemoCommand[] {
  const commands: DemoCommand[] = [wholeList(), bigBatch()]
  for (let i = 0; commands.length < count; i++) commands.push(single(i))
  return commands
}

/** The command as a message: its id is its idempotency key, and comes back as the reply's `correlation_id`. */
export function demoMessage({ id, body }: DemoCommand): Message {
  return {
    messageId: id,
    contentType: 'application/json',
    headers: {},
    body: Buffer.from(JSON.stringify(body)),
  }
}

function single(i: number): DemoCommand {
  const id = `demo-${i}`
  const deal = String((i * 7919) % DEMO_DEALS || 1)
  if (i % 97 === 0) {
    return failing(id, { method: 'crm.deal.get', params: { id: 99_999_999 } }, 'failed')
  }
  if (i % 193 === 1)
    return failing(id, { method: 'crm.deal.fetch', params: { id: deal } }, 'ERROR_METHOD_NOT_FOUND')
  if (i % 389 === 2) return failing(id, { params: { id: deal } }, 'METHOD_MISSING')
  switch (i % 4) {
    case 0:
      return fine(id, 'crm.deal.get', { id: deal }, (result) => isJsonObject(result) && result.ID === deal)
    case 1:
      return fine(id, 'crm.deal.add', { fields: { TITLE: `Demo deal ${i}` } }, (result) =>
        Number.isInteger(result),
      )
    case 2:
      return fine(
        id,
        'crm.deal.update',
        { id: deal, fields: { TITLE: `Renamed ${i}` } },
        (result) => result === true,
      )
    default:
      return fine(
        id,
        'crm.deal.list',
        { filter: { '>ID': deal }, order: { ID: 'ASC' }, select: ['ID', 'TITLE'], start: -1 },
        (result) =>
          Array.isArray(result) && result.every((row) => isJsonObject(row) && Number(row.ID) > Number(deal)),
      )
  }
}

function fine(id: string, method: string, params: JsonObject, right: (result: Json) => boolean): DemoCommand {
  return {
    id,
    body: { method, params },
    calls: 1,
    wrong: (reply) => {
      if (reply.outcome !== 'done') return `${method} ended as ${String(reply.outcome)}`
      return right(reply.result as Json) ? undefined : `${method} has the wrong result`
    },
  }
}

/** `expected` is the code of the error, or `failed` for any. */
function failing(id: string, body: JsonObject, expected: string): DemoCommand {
  return {
    id,
    body,
    calls: 1,
    wrong: ({ outcome, error }) => {
      if (outcome !== 'failed') return `it should have failed and ended as ${String(outcome)}`
      const code = isJsonObject(error) ? error.code : undefined
      return expected === 'failed' || code === expected
        ? undefined
        : `the error is ${String(code)}, not ${expected}`
    },
  }
}

function wholeList(): DemoCommand {
  return {
    id: 'demo-list',
    body: { action: 'list', method: 'crm.deal.list', params: { select: ['ID', 'TITLE'] } },
    calls: DEMO_DEALS / 50,
    wrong: ({ outcome, result }) => {
      if (outcome !== 'done' || !Array.isArray(result)) return `the list ended as ${String(outcome)}`
      const ids = new Set(result.map((row) => Number((row as JsonObject).ID)))
      if (ids.size !== result.length) return 'the list has a row twice'
      for (let deal = 1; deal <= DEMO_DEALS; deal++)
        if (!ids.has(deal)) return `deal ${deal} is missing from the list`
      return undefined
    },
  }
}

function bigBatch(): DemoCommand {
  const cmd = Object.fromEntries(
    Array.from({ length: BATCH_SIZE }, (_, i) => [`deal_${i + 1}`, `crm.deal.get?id=${i + 1}`]),
  )
  return {
    id: 'demo-batch',
    body: { action: 'batch', params: { cmd } },
    calls: BATCH_SIZE,
    wrong: ({ outcome, result }) => {
      if (outcome !== 'done' || !isJsonObject(result)) return `the batch ended as ${String(outcome)}`
      for (let i = 1; i <= BATCH_SIZE; i++) {
        const deal = result[`deal_${i}`]
        if (!isJsonObject(deal) || deal.ID !== String(i)) return `deal_${i} of the batch is wrong`
      }
      return undefined
    },
  }
}
