import type { Transport } from '../../client/transport.ts'
import { BridgeError } from '../../model/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import { askPortal } from './verify.ts'

/** What an installation can do, and what it lacks. Holds no secret. */
export interface InstallReport {
  readonly isAdmin?: boolean
  readonly scope?: readonly string[]
  /** How many methods and events the application sees. */
  readonly methods?: number
  readonly events?: number
  /** The portal's subscription, as it calls it: `std`, `ent`, … */
  readonly plan?: string
  /** The portal's clock minus ours. */
  readonly clockOffsetMs?: number
  /** One sentence for each thing that somebody should mend; empty when all is well. */
  readonly missing: readonly string[]
}

/** What was asked for and what was given, before the portal is asked. */
export interface CheckSubject {
  readonly clientEndpoint: string
  readonly accessToken: string
  readonly hasRefreshToken: boolean
  /** The application's page is about to finish the installation itself. */
  readonly finishing: boolean
}

const QUESTIONS = {
  profile: 'profile',
  scope: 'scope',
  app: 'app.info',
  time: 'server.time',
  methods: 'methods',
  events: 'events',
} as const

/** Clocks may differ by this much: tokens have a minute to spare. */
const CLOCK_MS = 60_000

const NEEDED = ['event.bind', 'event.unbind', 'event.get'] as const

/** Asks the portal six questions in one request. Never rejects: what was not answered stands in `missing`. */
export async function checkInstall(
  transport: Pick<Transport, 'post'>,
  subject: CheckSubject,
  now: () => number,
): Promise<InstallReport> {
  const { clientEndpoint, accessToken } = subject
  try {
    const params = { auth: accessToken, halt: 0, cmd: QUESTIONS }
    const { result } = await askPortal(transport, { clientEndpoint, method: 'batch', params })
    return reportOf(isJsonObject(result) ? result : {}, subject, now())
  } catch (error) {
    const code = error instanceof BridgeError ? error.code : 'ERROR'
    return { missing: [`The portal did not answer the self-check (${code}).`] }
  }
}

/** The report of a batch's answer. Pure. */
export function reportOf(batch: JsonObject, subject: CheckSubject, now: number): InstallReport {
  const results = objectOf(batch.result)
  const missing = Object.entries(objectOf(batch.result_error)).map(([name, error]) => {
    const method = QUESTIONS[name as keyof typeof QUESTIONS] ?? name
    return `${method} was refused (${String(objectOf(error).error ?? 'ERROR')}).`
  })
  const profile = objectOf(results.profile)
  const app = objectOf(results.app)
  const methods = textsOf(results.methods)
  const events = textsOf(results.events)
  const scope = textsOf(results.scope)
  const time = typeof results.time === 'string' ? Date.parse(results.time) : Number.NaN
  const plan = app.LICENSE_FAMILY
  if (results.profile !== undefined && profile.ADMIN !== true)
    missing.push('The user is no administrator: events and other data of the whole portal stay closed.')
  if (app.INSTALLED === false && !subject.finishing)
    missing.push('The portal waits for BX24.installFinish(): open the application there once.')
  if (app.PAYMENT_EXPIRED === 'Y') missing.push('The time that was paid for has ended.')
  if (!subject.hasRefreshToken)
    missing.push('There is no refresh token: calls end with the access token, within an hour.')
  const lacking = methods === undefined ? [] : NEEDED.filter((name) => !methods.includes(name))
  if (lacking.length > 0) missing.push(`The application has no ${lacking.join(', ')}: no events will come.`)
  if (events?.length === 0) missing.push('The application sees no event of the portal; look at its scope.')
  const clockOffsetMs = Number.isNaN(time) ? undefined : time - now
  if (clockOffsetMs !== undefined && Math.abs(clockOffsetMs) > CLOCK_MS)
    missing.push(
      `The clocks of the portal and of this machine differ by ${Math.round(clockOffsetMs / 1000)} s.`,
    )
  return {
    ...(results.profile === undefined ? {} : { isAdmin: profile.ADMIN === true }),
    ...(scope === undefined ? {} : { scope }),
    ...(methods === undefined ? {} : { methods: methods.length }),
    ...(events === undefined ? {} : { events: events.length }),
    ...(typeof plan === 'string' ? { plan } : {}),
    ...(clockOffsetMs === undefined ? {} : { clockOffsetMs }),
    missing,
  }
}

function objectOf(value: Json | undefined): JsonObject {
  return isJsonObject(value) ? value : {}
}

function textsOf(value: Json | undefined): string[] | undefined {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : undefined
}
