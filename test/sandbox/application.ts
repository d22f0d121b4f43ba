import type { Sandbox, SandboxOptions } from '../../src/sandbox/index.ts'
import { open, type Reply } from './ask.ts'
import { CLIENT_ID, CLIENT_SECRET, callWith, newPair } from './oauth-client.ts'
import { openReceiver, type Receiver } from './receiver.ts'

/** An application on a portal, the server that its handlers are on, and its administrator's calls. */
export interface Bench {
  readonly sandbox: Sandbox
  readonly app: Receiver
  /** The administrator's access token. */
  readonly token: string
  call(method: string, params?: object): Promise<Reply>
}

/** Opens a bench. The clock moves by `advance` only. */
export async function openApplication(options: SandboxOptions = {}): Promise<Bench> {
  const app = await openReceiver()
  const sandbox = await open({
    applications: [{ clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, url: `${app.url}app` }],
    now: () => Date.UTC(2026, 5, 1, 12),
    ...options,
  })
  const { access: token } = await newPair(sandbox)
  return { sandbox, app, token, call: (method, params) => callWith(sandbox, token, method, params) }
}

/** The token of another user of the same application. */
export async function tokenOf({ sandbox }: Bench, userId: number): Promise<string> {
  const { token } = await sandbox.app({ do: 'token', clientId: CLIENT_ID, userId })
  return token?.access_token ?? ''
}

/** A bench whose application has bound its server for some events. */
export async function openBound(events: readonly string[], options: SandboxOptions = {}): Promise<Bench> {
  const bench = await openApplication(options)
  for (const event of events) {
    const { body } = await bench.call('event.bind', { event, handler: `${bench.app.url}handler` })
    if (body.result !== true) throw new Error(`${event} cannot be bound: ${body.error_description}`)
  }
  return bench
}

/** Names of the events that an application got. */
export function eventsOf({ app }: Bench): string[] {
  return app.received.map(({ form }) => form.event)
}
