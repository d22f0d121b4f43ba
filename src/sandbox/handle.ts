import { type Dialect, V2 } from './dialect.ts'
import { type Ending, ended, half, interrupted, spoil } from './endings.ts'
import { RestFault, systemFault, unlicensed } from './errors.ts'
import { type Fault, type FaultScript, Interruption, runsFirst } from './faults.ts'
import { type Exchange, type NamedMethod, perform, recordSpent, refusal } from './perform.ts'
import type { Portal } from './portal.ts'
import { type Address, parseAddress, type RawRequest, type RestRequest } from './request.ts'
import { type HttpAnswer, htmlAnswer } from './respond.ts'
import { parseV3Address, V3 } from './v3/dialect.ts'

/** A request for a portal, read to its end. */
export interface Arrival extends RawRequest {
  readonly path: string
  /** The address it came from, or the first of `X-Forwarded-For`. */
  readonly source: string
  readonly secure: boolean
}

/** Where a request goes, and in which version of the REST API. */
interface Spoken {
  readonly address: Address
  readonly dialect: Dialect
}

/**
 * Serves one request of a portal. The checks stand in this order: request counter, https, portal stopped, method,
 * credentials, overload, plan, then those of the call itself.
 *
 * https://apidocs.bitrix24.com/error-codes.html
 */
export function handle(portal: Portal, faults: FaultScript, arrival: Arrival): Ending {
  const { switches } = portal.settings
  const spoken = spokenAt(arrival.path)
  if (spoken === undefined) return ended(htmlAnswer(404))
  const { address, dialect } = spoken
  portal.tally.requests += 1
  let spoiled: Fault | undefined
  try {
    if (!portal.admits(arrival.source)) throw refused(portal, systemFault('QUERY_LIMIT_EXCEEDED'))
    spoiled = faults.forRequest()
    if (spoiled?.kind === 'refuse') throw refused(portal, refusal(spoiled))
    if (spoiled !== undefined && !runsFirst(spoiled)) throw new Interruption(spoiled)
    const { ending, answer, exchange } = serve(portal, faults, spoken, arrival)
    const seen = spoiled === undefined ? ending : spoil(ending, spoiled, portal.settings.cutMs)
    if (exchange.ifLost.length === 0) return seen
    if (seen.kind === 'answer' && seen.answer === answer)
      return { ...seen, ifLost: () => loseAnswer(exchange) }
    loseAnswer(exchange)
    return seen
  } catch (error) {
    if (error instanceof Interruption) return interrupted(error.fault, portal.latencyMs)
    if (error instanceof RestFault) return ended(dialect.failure(error, switches, address), portal.latencyMs)
    throw error
  }
}

function spokenAt(path: string): Spoken | undefined {
  const newer = parseV3Address(path)
  if (newer !== undefined) return { address: newer, dialect: V3 }
  const address = parseAddress(path)
  return address === undefined ? undefined : { address, dialect: V2 }
}

interface Served {
  readonly ending: Ending
  /** What the caller sees when nothing goes wrong on the way. */
  readonly answer: HttpAnswer
  readonly exchange: Exchange
}

function serve(portal: Portal, faults: FaultScript, spoken: Spoken, arrival: Arrival): Served {
  const { address, dialect } = spoken
  const request = dialect.parse(address, arrival)
  const { named, exchange } = admit(portal, faults, spoken, arrival, request)
  const call = {
    portal,
    credential: exchange.credential,
    connector: request.connector,
    params: request.params,
    positional: request.positional,
    commands: request.commands,
    exchange,
  }
  try {
    const { answer, time } = perform(exchange, dialect.once(named, call, arrival), call, false)
    const success = dialect.success(answer, time, address)
    const seen = exchange.truncated ? half(success) : success
    return { ending: ended(seen, delayOf(exchange), portal.settings.cutMs), answer: success, exchange }
  } catch (error) {
    if (error instanceof Interruption) loseAnswer(exchange)
    if (!(error instanceof RestFault)) throw error
    const answer = dialect.failure(error, portal.settings.switches, address)
    return { ending: ended(answer, delayOf(exchange), portal.settings.cutMs), answer, exchange }
  } finally {
    recordSpent(exchange)
    void exchange.hit.end()
  }
}

function loseAnswer({ ifLost }: Exchange): void {
  for (const act of ifLost.splice(0)) act()
}

/** Everything between the request counter and the call. */
function admit(
  portal: Portal,
  faults: FaultScript,
  { address, dialect: { findMethod } }: Spoken,
  arrival: Arrival,
  request: RestRequest,
): { named: NamedMethod; exchange: Exchange } {
  const { switches } = portal.settings
  try {
    if (switches.strictHttps && !arrival.secure) throw systemFault('INVALID_REQUEST')
    if (portal.stopped) throw systemFault('PORTAL_DELETED')
    const named = findMethod(address.method)
    if (named === undefined && switches.methodBeforeAuth) throw systemFault('ERROR_METHOD_NOT_FOUND')
    const credential = portal.credentials.authenticate(request.proof, switches.unknownToken)
    if (named === undefined) throw systemFault('ERROR_METHOD_NOT_FOUND')
    if (portal.credentials.isOverloaded(credential)) throw systemFault('OVERLOAD_LIMIT')
    if (request.connector !== '' && credential.installation && !portal.hasFeature('rest_auth_connector'))
      throw unlicensed('auth_connector')
    if (portal.freePlan) throw systemFault('ACCESS_DENIED', 'REST is available only on commercial plans.')
    const startMs = portal.now()
    const costs = { spent: new Map<string, number>(), seconds: 0, delayMs: 0, truncated: false }
    const hit = portal.events.hit(credential)
    return { named, exchange: { portal, credential, faults, findMethod, startMs, hit, ifLost: [], ...costs } }
  } catch (error) {
    throw error instanceof RestFault ? refused(portal, error) : error
  }
}

function refused(portal: Portal, fault: RestFault): RestFault {
  portal.tally.refuse(fault.code)
  return fault
}

function delayOf(exchange: Exchange): number {
  return exchange.portal.latencyMs + exchange.delayMs
}
