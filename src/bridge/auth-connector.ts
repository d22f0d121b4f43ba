import type { CallSettled, Work } from '../client/lane/work.ts'
import type { Credential } from '../model/credential.ts'
import type { BridgeError } from '../model/errors.ts'
import { isJsonObject } from '../model/json.ts'
import type { Portal, Portals } from './portals.ts'

/**
 * The same caller under a name that the portal notes with every change: offline handlers with this connector are not
 * told of it. It stands beside the commands of a batch, where portals look for it, so callers of different names share
 * no request. An empty name is no name.
 *
 * https://apidocs.bitrix24.com/api-reference/events/offline-events.html
 */
export function withConnector(credential: Credential, connector: string): Credential {
  if (connector === '') return credential
  const { renew } = credential
  return {
    origin: credential.origin,
    domain: credential.domain,
    key: `${credential.key} ${JSON.stringify(connector)}`,
    async authorize() {
      const { base, params } = await credential.authorize()
      return { base, params: { ...params, auth_connector: connector } }
    },
    ...(renew === undefined ? {} : { renew: (expired) => renew.call(credential, expired) }),
  }
}

export interface ConnectorOptions {
  readonly portals: Portals
  /** The name that our writes carry. */
  readonly connector: string
  readonly now: () => number
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** What a portal's licence says is believed for a day. */
const LICENCE_MS = 24 * 3_600_000

interface Licence {
  readonly allowed: Promise<boolean>
  readonly until: number
}

/**
 * The portals, where calls by tokens carry the name of a connector. A call with an `auth_connector` of its own keeps it.
 * Where the licence has no connectors, calls go without, and the log says so once a day: a call that was refused for it
 * did not run and is made again.
 */
export function portalsWithConnector(options: ConnectorOptions): Portals {
  const { portals, connector, now, log } = options
  const licences = new Map<string, Licence>()

  function refused(domain: string): void {
    const hint = 'Offline handlers hear of what the bridge writes there; connectors need a larger plan.'
    log('portal.no-connector', { domain, hint })
    licences.set(domain, { allowed: Promise.resolve(false), until: now() + LICENCE_MS })
  }

  /** Asked before the first call rather than after it, so that calls keep their order. */
  function allowed(portal: Portal): Promise<boolean> {
    const { domain } = portal
    const known = licences.get(domain)
    if (known !== undefined && now() < known.until) return known.allowed
    const asked = isLicensed(portal, connector)
    licences.set(domain, { allowed: asked, until: now() + LICENCE_MS })
    asked.then(
      (yes) => {
        if (!yes) refused(domain)
      },
      () => licences.delete(domain),
    )
    // A portal that does not answer tells its trouble to the call itself.
    return asked.catch(() => true)
  }

  return {
    ...portals,
    async find(asked) {
      const plain = await portals.find(asked)
      if (plain.credential.renew === undefined || !(await allowed(plain))) return plain
      return named(plain, connector, () => refused(plain.domain))
    },
  }
}

/** `feature.get`, sent under the name: either way of saying no is understood. Rejects when nobody can tell. */
async function isLicensed({ lane, credential }: Portal, connector: string): Promise<boolean> {
  const settled = await lane.submit({
    calls: [{ method: 'feature.get', params: { CODE: 'rest_auth_connector' } }],
    options: { source: 'connector', credential: withConnector(credential, connector), deadlineMs: 30_000 },
  })
  const { answer, error } = settled[0] as CallSettled
  if (error !== undefined && isUnlicensed(error)) return false
  // An older portal does not know the question, and an on-premise one has no such bound.
  if (error !== undefined && answer === undefined) throw error
  const result = answer?.body.result
  return !(isJsonObject(result) && result.value === 'N')
}

/** The portal under a name. */
function named(portal: Portal, connector: string, onRefused: () => void): Portal {
  const { lane, credential } = portal
  const own = withConnector(credential, connector)
  async function submit(work: Work): Promise<readonly CallSettled[]> {
    const theirs = connectorOf(work)
    const by = theirs === undefined ? own : withConnector(credential, theirs)
    const settled = await lane.submit({ ...work, options: { ...work.options, credential: by } })
    const again = settled.flatMap(({ error }, index) =>
      error !== undefined && isUnlicensed(error) && theirs === undefined ? [index] : [],
    )
    if (again.length === 0 || again.length < settled.length) return settled
    onRefused()
    const { beforeSend: _, ...rest } = work
    return lane.submit({ ...rest, options: { ...work.options, credential } })
  }
  const { domain } = portal
  return {
    domain,
    credential: own,
    lane: {
      submit,
      stats: () => lane.stats(),
      learn: (rests) => lane.learn(rests),
      close: (ms) => lane.close(ms),
    },
  }
}

/** The name that a lone call brings itself. */
function connectorOf({ calls }: Work): string | undefined {
  const params = calls.length === 1 ? calls[0]?.params : undefined
  if (!isJsonObject(params)) return undefined
  const { auth_connector: name } = params
  return typeof name === 'string' && name !== '' ? name : undefined
}

/** The portal refused the name, not the call. */
function isUnlicensed(error: BridgeError): boolean {
  if (error.code !== 'WRONG_LICENSE') return false
  const description = (error as { description?: unknown }).description
  return typeof description === 'string' && description.includes('auth_connector')
}
