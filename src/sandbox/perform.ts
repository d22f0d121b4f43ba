import type { Hit } from './apps/hit.ts'
import type { Credential } from './credentials.ts'
import { RestFault, systemFault } from './errors.ts'
import { type Fault, type FaultScript, Interruption, runsFirst } from './faults.ts'
import type { Answer, Call, Method } from './method.ts'
import type { Portal } from './portal.ts'
import { type AnswerTime, answerTime } from './time.ts'

/** One HTTP request in work: who, where, and what it has cost so far. */
export interface Exchange {
  readonly portal: Portal
  readonly credential: Credential
  readonly faults: FaultScript
  readonly findMethod: (name: string) => NamedMethod | undefined
  readonly startMs: number
  /** Gathers the events that the request causes. */
  readonly hit: Hit
  /** Done when the caller never sees the answer. */
  readonly ifLost: (() => void)[]
  /** Simulated seconds by method, to be recorded when the answer is on its way. */
  readonly spent: Map<string, number>
  seconds: number
  delayMs: number
  truncated: boolean
}

export interface NamedMethod {
  readonly name: string
  readonly method: Method
}

/** What came of a call that ran. */
export interface Outcome {
  readonly answer: Answer
  readonly time: AnswerTime
}

/**
 * Carries out one call, alone or as a command of a batch: scope, context, operating time, faults, then the method.
 * Throws a `RestFault` for an error answer and an `Interruption` when the whole request ends otherwise.
 */
export function perform(exchange: Exchange, named: NamedMethod, call: Call, inBatch: boolean): Outcome {
  const { portal } = exchange
  const fault = admit(exchange, named, inBatch)
  const answer = run(portal, named, call)
  const seconds = portal.costs[named.name] ?? 0
  account(exchange, named, seconds)
  if (fault !== undefined) show(exchange, fault)
  if (exchange.seconds * 1000 > portal.settings.cutMs) throw new Interruption({ kind: 'status', status: 504 })
  return { answer, time: timeOf(exchange, named, seconds) }
}

/** Records what the request has spent; the sums of the limiter see it from the next request on. */
export function recordSpent(exchange: Exchange): void {
  for (const [name, seconds] of exchange.spent) {
    exchange.portal.ledger.record(ledgerKey(exchange, name), exchange.startMs, seconds)
  }
}

function admit(exchange: Exchange, named: NamedMethod, inBatch: boolean): Fault | undefined {
  try {
    if (inBatch && named.method.solo) throw systemFault('ERROR_BATCH_METHOD_NOT_ALLOWED')
    checkRights(exchange, named.method, inBatch)
    checkOperating(exchange, named)
    const fault = exchange.faults.forCall(named.name)
    if (fault?.kind === 'refuse') throw refusal(fault)
    if (fault !== undefined && !runsFirst(fault)) throw new Interruption(fault)
    return fault
  } catch (error) {
    if (error instanceof RestFault) exchange.portal.tally.refuse(error.code)
    throw error
  }
}

/** The error that a `refuse` fault stands for. */
export function refusal(fault: Fault): RestFault {
  if (fault.error === undefined) return systemFault('QUERY_LIMIT_EXCEEDED')
  return new RestFault(fault.error.error, fault.error.error_description, fault.status ?? 400)
}

function checkRights(exchange: Exchange, method: Method, inBatch: boolean): void {
  const { credential } = exchange
  const webhook = credential.kind === 'webhook'
  if (method.scopes.length > 0 && !method.scopes.some((scope) => credential.scopes.has(scope))) {
    const bearer = webhook ? 'webhook' : 'access'
    const text = `The request requires higher privileges than provided by the ${bearer} token`
    throw systemFault('insufficient_scope', inBatch ? '' : text)
  }
  if (method.application && webhook) {
    throw systemFault(
      'WRONG_AUTH_TYPE',
      'Current authorization type is denied for this method Application context required',
    )
  }
}

/** https://apidocs.bitrix24.com/limits.html */
function checkOperating(exchange: Exchange, named: NamedMethod): void {
  const { portal } = exchange
  const { operating, operatingLimitSeconds } = portal.settings.switches
  if (!operating || named.method.solo) return
  const use = portal.ledger.use(ledgerKey(exchange, named.name), exchange.startMs)
  if (use.seconds > operatingLimitSeconds) throw systemFault('OPERATION_TIME_LIMIT')
}

function run(portal: Portal, named: NamedMethod, call: Call): Answer {
  portal.tally.ran(named.name)
  try {
    return named.method.run(call)
  } catch (error) {
    if (error instanceof RestFault) portal.tally.failed += 1
    throw error
  }
}

function account(exchange: Exchange, named: NamedMethod, seconds: number): void {
  if (seconds === 0) return
  exchange.seconds += seconds
  exchange.spent.set(named.name, (exchange.spent.get(named.name) ?? 0) + seconds)
  if (exchange.portal.settings.switches.costsTakeTime) exchange.delayMs += seconds * 1000
}

function show(exchange: Exchange, fault: Fault): void {
  if (fault.kind === 'slow') exchange.delayMs += fault.delayMs ?? 1000
  else if (fault.kind === 'truncate') exchange.truncated = true
  else throw new Interruption(fault)
}

function timeOf(exchange: Exchange, named: NamedMethod, seconds: number): AnswerTime {
  const { portal } = exchange
  const { switches } = portal.settings
  const time = answerTime(exchange.startMs, named.method.solo ? exchange.seconds : seconds, switches)
  if (!switches.operating) return time
  if (named.method.solo) return { ...time, operating: 0 }
  const key = ledgerKey(exchange, named.name)
  const use = portal.ledger.use(key, exchange.startMs, exchange.spent.get(named.name) ?? 0)
  time.operating_reset_at = use.resetAt
  time.operating = use.seconds
  return time
}

function ledgerKey(exchange: Exchange, method: string): string {
  return `${exchange.credential.key} ${method}`
}
