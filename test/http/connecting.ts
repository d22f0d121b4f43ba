import { randomUUID } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { createInstalls, type Installs } from '../../src/bridge/installs/installs.ts'
import type { InstallStore } from '../../src/bridge/installs/store.ts'
import { type ContentOptions, createContent } from '../../src/bridge/pages/content.ts'
import { createPages } from '../../src/bridge/pages/pages.ts'
import { createTransport } from '../../src/client/transport.ts'
import type { HttpServerOptions } from '../../src/http/server.ts'
import type { ApplicationOptions, Sandbox, SandboxOptions } from '../../src/sandbox/index.ts'
import { createSandbox } from '../../src/sandbox/index.ts'
import { installRecords } from '../../src/stores/installs.ts'
import { openStore } from '../../src/stores/open.ts'
import { saveApplication } from '../../src/stores/queries/applications.ts'
import { findTokens, saveTokens } from '../../src/stores/queries/tokens.ts'
import { noteVisitor } from '../../src/stores/queries/visitors.ts'
import { openSealer } from '../../src/stores/seal.ts'
import { openSecrets, type Secrets } from '../../src/stores/secrets.ts'
import type { Store } from '../../src/stores/store.ts'
import { type Answer, ask, type Running, running } from './running.ts'

export const CLIENT_ID = 'local.0123456789abcd.12345678'
export const CLIENT_SECRET = 'marked-secret-of-the-client'

/** A bridge that knows one application, and a sandbox whose portals can install it. */
export interface Connecting {
  readonly sandbox: Sandbox
  readonly server: Running
  readonly store: Store
  readonly secrets: Secrets
  readonly installs: Installs
  /** The same over the same store, with nothing else in common. */
  anotherProcess(): Installs
  /** Lines of the log, and member ids of portals that changed. */
  readonly logged: { readonly event: string; readonly fields: Readonly<Record<string, unknown>> }[]
  readonly changed: string[]
  /** Text of every answer that the bridge gave by `visit` and `submit`. */
  readonly answers: string[]
  /** Moves the bridge's clock, not the sandbox's. */
  advance(ms: number): void
  /** A request without the operator's token; JSON unless `accept` says otherwise. */
  visit(path: string, accept?: string): Promise<Answer>
  /** A form, as a portal or a browser posts it. */
  submit(path: string, fields: Readonly<Record<string, string>>, accept?: string): Promise<Answer>
  /** Rows of every table in which an installation leaves something. */
  rows(): Promise<Record<string, number>>
  /** Reasons of the refusals that were logged. */
  refusals(): unknown[]
}

export interface ConnectingOptions {
  readonly application?: Partial<ApplicationOptions> | ((bridge: string) => Partial<ApplicationOptions>)
  readonly sandbox?: SandboxOptions
  /** What the bridge believes the secret to be. */
  readonly clientSecret?: string
  readonly http?: Partial<HttpServerOptions>
  /** Authorization servers allowed; the sandbox's unless given. */
  readonly servers?: readonly string[]
  /** Where the pages of placements come from. */
  readonly pages?: Partial<ContentOptions>
  /** Changes what the bridge gets of the store. */
  readonly store?: (store: InstallStore) => InstallStore
}

const TABLES = ['portals', 'installations', 'tokens', 'spare_tokens', 'application_tokens'] as const

/** Starts both; they are closed when the test ends. */
export async function connecting(options: ConnectingOptions = {}): Promise<Connecting> {
  // The authorization server has a port of its own, as the real one has a host of its own.
  const sandbox = await createSandbox({ limits: 'off', oauthPort: 0, ...options.sandbox })
  const store = await openStore('sqlite::memory:', { now: Date.now })
  const keys = `k1:${Buffer.alloc(32, 1).toString('base64')}`
  const secrets = await openSecrets(store.db, openSealer({ keys }), Date.now)
  const transport = createTransport()
  onTestFinished(async () => {
    await transport.close()
    await sandbox.close()
    await store.close()
  })
  const logged: Connecting['logged'] = []
  const changed: string[] = []
  let ahead = 0
  const create = (): Installs =>
    createInstalls({
      store: (options.store ?? ((records) => records))(installRecords(store.db, secrets)),
      transport,
      servers: options.servers ?? [sandbox.oauthUrl],
      now: () => Date.now() + ahead,
      newId: randomUUID,
      log: (event, fields) => logged.push({ event, fields }),
      onChange: (memberId) => changed.push(memberId),
    })
  const installs = create()
  const now = (): number => Date.now() + ahead
  const placements = {
    pages: createPages({
      store: {
        ...installRecords(store.db, secrets),
        noteVisitor: (key) => noteVisitor(store.db, key),
        saveTokens: (key, pair, at) => saveTokens(store.db, secrets, key, pair, at),
      },
      transport,
      installs,
      servers: options.servers ?? [sandbox.oauthUrl],
      now,
      log: (event, fields) => logged.push({ event, fields }),
    }),
    contentOf: createContent({ addresses: {}, transport, now, ...options.pages }),
  }
  const server = await running({
    installs,
    placements,
    bx24Script: `${sandbox.url}/__sandbox/bx24.js`,
    ...options.http,
  })
  const { application = {} } = options
  sandbox.addApplication({
    clientId: CLIENT_ID,
    clientSecret: CLIENT_SECRET,
    title: 'Chairs',
    ...(typeof application === 'function' ? application(server.url) : application),
  })
  const clientSecret = options.clientSecret ?? CLIENT_SECRET
  await saveApplication(store.db, secrets, { clientId: CLIENT_ID, name: 'Chairs', clientSecret }, Date.now())
  const answers: string[] = []
  const request = async (path: string, accept: string, init: RequestInit): Promise<Answer> => {
    const url = path.startsWith('http') ? path : `${server.url}${path}`
    const answer = await ask(url, { redirect: 'manual', ...init, headers: { authorization: '', accept } })
    answers.push(answer.text)
    return answer
  }
  return {
    sandbox,
    server,
    store,
    secrets,
    installs,
    anotherProcess: create,
    logged,
    changed,
    answers,
    advance(ms) {
      ahead += ms
    },
    visit: (path, accept = 'application/json') => request(path, accept, {}),
    submit: (path, fields, accept = 'application/json') =>
      request(path, accept, { method: 'POST', body: new URLSearchParams(fields) }),
    async rows() {
      const counts: Record<string, number> = {}
      for (const table of TABLES) {
        const { n } = await store.db
          .selectFrom(table)
          .select((select) => select.fn.countAll<number>().as('n'))
          .executeTakeFirstOrThrow()
        if (Number(n) > 0) counts[table] = Number(n)
      }
      return counts
    },
    refusals: () =>
      logged.filter(({ event }) => event === 'install.refused').map(({ fields }) => fields.reason),
  }
}

/** The tokens that are stored for user 1 of the sandbox's portal. */
export function storedTokens({ store, secrets, sandbox }: Connecting, userId = '1') {
  const { memberId } = sandbox.identity()
  return findTokens(store.db, secrets, { memberId, clientId: CLIENT_ID, userId })
}

/** The `auth` block of a life-cycle event, as a flat form. */
export function eventForm(
  event: string,
  auth: Readonly<Record<string, string>>,
  data: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const flat = (name: string, values: Readonly<Record<string, string>>): [string, string][] =>
    Object.entries(values).map(([key, value]) => [`${name}[${key}]`, value])
  return Object.fromEntries([['event', event], ...flat('data', data), ...flat('auth', auth)])
}
