import { request } from 'undici'
import { afterEach } from 'vitest'
import { createSandbox, type Sandbox, type SandboxOptions } from '../../src/sandbox/index.ts'

/** An answer of the sandbox, its JSON read. */
export interface Reply {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of any shape
  readonly body: any
}

/** Sends a request as it is and reads what comes back. */
export async function send(
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Reply> {
  const method = options.method ?? (options.body === undefined ? 'GET' : 'POST')
  const { statusCode, headers, body } = await request(url, { ...options, method: method as 'GET' })
  const text = await body.text()
  return { status: statusCode, headers, text, body: parse(text) }
}

/** Calls a method with a JSON body, through the webhook unless `at` says otherwise. */
export function ask(
  sandbox: Sandbox,
  method: string,
  params: unknown = {},
  at: AskOptions = {},
): Promise<Reply> {
  return send(`${at.base ?? sandbox.webhookUrl}${method}`, {
    body: JSON.stringify(params),
    headers: { 'content-type': 'application/json', ...at.headers },
  })
}

export interface AskOptions {
  readonly base?: string
  readonly headers?: Record<string, string>
}

const running: Sandbox[] = []

/** A sandbox without request limits, closed when the test is over. */
export async function open(options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await createSandbox({ limits: 'off', ...options })
  running.push(sandbox)
  return sandbox
}

/** A clock that stands still until told. */
export function frozenClock(ms = Date.UTC(2026, 5, 1, 12)): { now: () => number } {
  return { now: () => ms }
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((sandbox) => sandbox.close()))
})

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
