import { type ParsedQs, parse } from 'qs'
import { CommandError } from '../../model/errors.ts'
import { parseDomain } from '../../model/portal.ts'
import { refuseInstall } from './refusals.ts'

/** What a form claims. Nothing of it is true until the authorization server has confirmed it. */
export interface Claim {
  readonly memberId: string
  readonly domain: string
  readonly accessToken: string
  readonly refreshToken?: string
  readonly expiresInMs?: number
  /** As posted; older portals name none. */
  readonly serverEndpoint?: string
  readonly applicationToken?: string
  readonly version?: string
}

/** The events of an application's own life. https://apidocs.bitrix24.com/api-reference/common/events/index.html */
export type LifeCycle =
  | { readonly event: 'ONAPPINSTALL' | 'ONAPPUPDATE'; readonly claim: Claim }
  | {
      readonly event: 'ONAPPUNINSTALL'
      readonly memberId: string
      readonly applicationToken: string
      /** The user asked to forget all data. */
      readonly clean: boolean
    }

/** Bytes of a form at most; real ones have two thousand. */
export const MAX_FORM_BYTES = 64 * 1024

/**
 * The claim of a page that opens in the portal's frame: `DOMAIN` and the like in the address, the rest in the body, or
 * everything in the body, as older portals have it. Throws `FORM_INVALID` or `DOMAIN_INVALID`.
 *
 * https://apidocs.bitrix24.com/settings/oauth/simple-way.html
 */
export function parsePage(query: string, body: string): Claim {
  const form = { ...parseForm(query), ...parseForm(body) }
  return claimOf({
    memberId: form.member_id,
    domain: form.DOMAIN,
    accessToken: form.AUTH_ID,
    refreshToken: form.REFRESH_ID,
    expiresIn: form.AUTH_EXPIRES,
    serverEndpoint: form.SERVER_ENDPOINT,
    applicationToken: form.APPLICATION_TOKEN,
  })
}

/** True when the body is that of an event rather than of a page. */
export function isEvent(body: string): boolean {
  return parseForm(body).event !== undefined
}

/** A life-cycle event. Throws `EVENT_UNKNOWN` for any other, `FORM_INVALID` or `DOMAIN_INVALID` for a damaged one. */
export function parseLifeCycle(body: string): LifeCycle {
  const form = parseForm(body)
  const event = textOf(form.event, 100).toUpperCase()
  const data = objectOf(form.data)
  const auth = objectOf(form.auth)
  if (event === 'ONAPPUNINSTALL') {
    return {
      event,
      memberId: idOf(auth.member_id),
      applicationToken: secretOf(auth.application_token),
      clean: data.CLEAN === '1',
    }
  }
  if (event !== 'ONAPPINSTALL' && event !== 'ONAPPUPDATE') throw refuseInstall('EVENT_UNKNOWN')
  const claim = claimOf({
    memberId: auth.member_id,
    domain: auth.domain,
    accessToken: auth.access_token,
    refreshToken: auth.refresh_token,
    expiresIn: auth.expires_in,
    serverEndpoint: auth.server_endpoint,
    applicationToken: auth.application_token,
  })
  return { event, claim: isFilled(data.VERSION) ? { ...claim, version: textOf(data.VERSION, 64) } : claim }
}

type Posted = Readonly<
  Record<
    | 'memberId'
    | 'domain'
    | 'accessToken'
    | 'refreshToken'
    | 'expiresIn'
    | 'serverEndpoint'
    | 'applicationToken',
    unknown
  >
>

function claimOf(posted: Posted): Claim {
  const seconds = Number(posted.expiresIn)
  const { refreshToken, serverEndpoint, applicationToken } = posted
  return {
    memberId: idOf(posted.memberId),
    domain: parseDomain(textOf(posted.domain, 300)),
    accessToken: secretOf(posted.accessToken),
    ...(isFilled(refreshToken) ? { refreshToken: secretOf(refreshToken) } : {}),
    ...(seconds > 0 && seconds < 1e9 ? { expiresInMs: seconds * 1000 } : {}),
    ...(isFilled(serverEndpoint) ? { serverEndpoint: textOf(serverEndpoint, 500) } : {}),
    ...(isFilled(applicationToken) ? { applicationToken: secretOf(applicationToken) } : {}),
  }
}

/** Reads a form with PHP's brackets, within bounds; keys such as `__proto__` are left out. */
function parseForm(text: string): ParsedQs {
  if (text.length > MAX_FORM_BYTES) throw refuseInstall('FORM_TOO_LARGE')
  try {
    return parse(text, {
      depth: 5,
      strictDepth: true,
      parameterLimit: 200,
      throwOnLimitExceeded: true,
      arrayLimit: 100,
      plainObjects: false,
      allowPrototypes: false,
    })
  } catch (error) {
    if (error instanceof CommandError) throw error
    throw refuseInstall('FORM_INVALID')
  }
}

function isFilled(value: unknown): boolean {
  return value !== undefined && value !== ''
}

function objectOf(value: unknown): ParsedQs {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as ParsedQs) : {}
}

function textOf(value: unknown, most: number): string {
  if (typeof value !== 'string' || value === '' || value.length > most) throw refuseInstall('FORM_INVALID')
  return value
}

function idOf(value: unknown): string {
  const id = textOf(value, 64)
  if (!/^[\w.-]+$/.test(id)) throw refuseInstall('FORM_INVALID')
  return id
}

function secretOf(value: unknown): string {
  const secret = textOf(value, 1000)
  if (!/^[\x21-\x7e]+$/.test(secret)) throw refuseInstall('FORM_INVALID')
  return secret
}
