import type { Sandbox, SandboxOptions } from '../../src/sandbox/index.ts'
import { open, type Reply, send } from './ask.ts'

export const CLIENT_ID = 'local.0123456789abcd.12345678'
export const CLIENT_SECRET = 'the-secret-of-the-client'

/** What each test's application is called; it comes back to an address that nobody serves. */
export const APPLICATION = {
  clientId: CLIENT_ID,
  clientSecret: CLIENT_SECRET,
  redirectUri: 'https://app.example/callback?keep=1',
  scopes: ['crm', 'department', 'lists', 'task', 'user'],
}

/** A sandbox with one application, and a clock that moves by `advance` only. */
export function openWithApplication(options: SandboxOptions = {}): Promise<Sandbox> {
  const ms = Date.UTC(2026, 5, 1, 12)
  return open({ applications: [APPLICATION], now: () => ms, ...options })
}

/** Asks the token endpoint by GET, as the documentation has it; `undefined` leaves a parameter out. */
export function askToken(
  sandbox: Sandbox,
  params: Record<string, string | undefined>,
  client: Record<string, string | undefined> = { client_id: CLIENT_ID, client_secret: CLIENT_SECRET },
): Promise<Reply> {
  return send(`${sandbox.oauthUrl}/oauth/token/?${query({ ...client, ...params })}`)
}

export function refresh(sandbox: Sandbox, token: string): Promise<Reply> {
  return askToken(sandbox, { grant_type: 'refresh_token', refresh_token: token })
}

/** A pair of a new chain, without the way through the browser. */
export async function newPair(
  sandbox: Sandbox,
  portal?: string,
): Promise<{ access: string; refresh: string }> {
  const { token } = await sandbox.app({ do: 'token', clientId: CLIENT_ID }, portal)
  return { access: token?.access_token ?? '', refresh: token?.refresh_token ?? '' }
}

/** Calls a method with a token. */
export function callWith(
  sandbox: Sandbox,
  token: string,
  method = 'profile',
  params: object = {},
): Promise<Reply> {
  const body = JSON.stringify({ ...params, auth: token })
  return send(`${sandbox.url}/rest/${method}`, { body, headers: { 'content-type': 'application/json' } })
}

/** The code in the redirect of `/oauth/authorize/`. */
export async function askCode(sandbox: Sandbox, more: Record<string, string> = {}): Promise<string> {
  const { headers } = await send(
    `${sandbox.url}/oauth/authorize/?${query({ client_id: CLIENT_ID, auto: '1', ...more })}`,
  )
  return new URL(String(headers.location)).searchParams.get('code') ?? ''
}

function query(params: Record<string, string | undefined>): URLSearchParams {
  return new URLSearchParams(
    Object.entries(params).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}
