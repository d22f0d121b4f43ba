import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createBitrix24BridgeContract } from '../../../src/bridge/contracts/bitrix24-bridge.ts'
import { bridgeReplySchema } from '../../../src/bridge/contracts/bitrix24-bridge-schema.ts'
import type { Contract } from '../../../src/bridge/contracts/contract.ts'
import { createNativeContract } from '../../../src/bridge/contracts/native.ts'
import { nativeReplySchema } from '../../../src/bridge/contracts/native-schema.ts'
import { createRabbitmqToBitrix24Contract } from '../../../src/bridge/contracts/rabbitmq-to-bitrix24.ts'
import type { HeaderValue, Message } from '../../../src/brokers/broker.ts'
import type { Command } from '../../../src/model/command.ts'
import { CommandError } from '../../../src/model/errors.ts'
import type { JsonObject } from '../../../src/model/json.ts'
import type { Outcome } from '../../../src/model/outcome.ts'
import { context } from './support.ts'

const rest = { origin: 'https://example.bitrix24.com', domain: 'example.bitrix24.com', root: '/rest' }
const contracts: Contract[] = [
  createNativeContract(),
  createBitrix24BridgeContract(),
  createBitrix24BridgeContract({ strict: true, many: false }),
  createRabbitmqToBitrix24Contract({ rest }),
]

const json = fc.jsonValue({ maxDepth: 4 })
const object = fc.dictionary(fc.string(), json) as fc.Arbitrary<JsonObject>
const methods = fc.constantFrom('profile', 'crm.deal.list', 'batch', 'BATCH', '', 'a/b', '__proto__')
const call = fc.oneof(
  fc.constantFrom('profile', 'crm.deal.get?id=$result[a]', '?'),
  fc.tuple(methods, json),
  json,
)
const names = fc.oneof(fc.constantFrom('a', '0', '1', '10', '__proto__', 'toString'), fc.string())

/** Close enough to a command that most of the paths are walked. */
const almost = fc.record(
  {
    portal: fc.oneof(fc.constant('main'), json),
    action: fc.constantFrom('call', 'list', 'batch', 'default', null, 5),
    method: fc.oneof(methods, json),
    params: fc.oneof(
      object,
      fc.record({ cmd: fc.dictionary(names, call), halt: json }, { requiredKeys: ['cmd'] }),
      json,
    ),
    meta: json,
    priority: fc.constantFrom('urgent', 'bulk', 'x', 1),
    orderKey: json,
    deadlineMs: json,
    extra: json,
  },
  { requiredKeys: [] },
)

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
  fc.string().map((text) => Buffer.from(text)),
  json.map((value) => Buffer.from(JSON.stringify(value))),
  almost.map((value) => Buffer.from(JSON.stringify(value))),
  almost.map((value) => Buffer.from(JSON.stringify(value, null, 2).slice(1))),
  almost.map((value) =>
    Buffer.from(`\ufeff${JSON.stringify(value).replace(/\d+/g, '98765432109876543210')}`),
  ),
)

const header = fc.oneof(
  fc.constantFrom('profile', '1', 'abc', 'urgent', ''),
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.uint8Array().map((array) => Buffer.from(array)),
  fc.array(fc.integer()),
) as fc.Arbitrary<HeaderValue>

const message: fc.Arbitrary<Message> = fc
  .record(
    {
      body: bytes,
      headers: fc.record(
        {
          method: header,
          user: header,
          token: header,
          traceparent: header,
          'x-b24-portal': header,
          'x-b24-priority': header,
          'x-b24-order-key': header,
        },
        { requiredKeys: [] },
      ) as fc.Arbitrary<Message['headers']>,
      messageId: fc.string(),
      correlationId: fc.string(),
      expiration: fc.oneof(fc.constantFrom('0', '1000', '-1'), fc.string()),
    },
    { requiredKeys: ['body', 'headers'] },
  )
  .map((value) => value as Message)

const failure = fc.record(
  { code: fc.string(), description: fc.string(), retryable: fc.boolean(), hint: fc.string() },
  { requiredKeys: ['code', 'description', 'retryable'] },
)

const status = fc.integer({ min: 0, max: 599 })
const batch = fc.array(
  fc.record({ status, names: fc.array(names), maps: fc.tuple(object, object, object, object, object) }),
)

const result = fc.oneof(
  fc.constant(undefined),
  fc.record({
    action: fc.constant('call' as const),
    answer: fc
      .record({ status, attempts: fc.nat(), body: object })
      .chain((answer) => fc.constantFrom(answer, { ...answer, raw: JSON.stringify(answer.body) })),
  }),
  fc.record({
    action: fc.constant('list' as const),
    rows: fc.array(object),
    total: fc.option(fc.nat()),
    status,
    missing: fc.array(fc.record({ page: fc.string(), code: fc.string(), description: fc.string() })),
  }),
  batch.map((chunks) => ({
    action: 'batch' as const,
    chunks: chunks.map(
      ({ maps: [result, result_error, result_total, result_next, result_time], ...chunk }) => ({
        ...chunk,
        body: { result: { result, result_error, result_total, result_next, result_time } },
      }),
    ),
  })),
)

const outcome: fc.Arbitrary<Outcome> = fc
  .record({
    kind: fc.constantFrom('done' as const, 'failed' as const, 'unknown' as const),
    status,
    attempts: fc.nat(),
    failure: fc.option(failure, { nil: undefined }),
    result,
  })
  .map(({ failure, result, ...rest }) => ({
    ...rest,
    ...(failure === undefined ? {} : { failure }),
    ...(result === undefined ? {} : { result }),
  }))

function parseOrRefuse(contract: Contract, received: Message): Command | undefined {
  try {
    return contract.parse(received)
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    expect(error.code).toMatch(/^[A-Z0-9_]+$/)
    expect(error.message).toMatch(/\.$/)
    expect(error.hint).toBeTruthy()
    return undefined
  }
}

describe('any message at all', () => {
  test('is a command or a refusal, and has a reply in JSON', () => {
    fc.assert(
      fc.property(message, outcome, (received, end) => {
        for (const contract of contracts) {
          const command = parseOrRefuse(contract, received)
          if (command !== undefined) expect(['call', 'list', 'batch']).toContain(command.action)
          const reply = contract.reply(received, command, end, context)
          const body = JSON.parse(reply.body.toString('utf8')) as unknown
          if (contract.name === 'native') nativeReplySchema.parse(body)
          if (contract.name === 'bitrix24-bridge') bridgeReplySchema.parse(body)
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('a batch keeps every name once, in the order of the text', () => {
    const unique = fc.uniqueArray(fc.oneof(fc.nat({ max: 99 }).map(String), fc.string()), { minLength: 1 })
    fc.assert(
      fc.property(unique, (written) => {
        const cmd = written.map((name) => `${JSON.stringify(name)}:"profile"`).join(',')
        const body = Buffer.from(`{"action":"batch","method":"batch","params":{"cmd":{${cmd}}}}`)
        for (const contract of contracts.slice(0, 2)) {
          const command = contract.parse({ body, headers: {} })
          const read = command.action === 'batch' ? command.entries.map((entry) => entry.name) : []
          expect(read).toEqual(written)
        }
      }),
    )
  })
})
