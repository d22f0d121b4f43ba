import type { Json } from '../../model/json.ts'
import { SCOPES } from '../credentials.ts'
import { RestFault } from '../errors.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'
import { applicationInfo, tokenInfo } from '../oauth/app-info.ts'
import { licenceFamily } from '../options.ts'
import { isoTime } from '../time.ts'

/**
 * Methods that every credential may call: the clock, who and what the caller is, what it may do. `sandbox.echo`
 * answers with the parameters as a method receives them; no real portal has it.
 *
 * https://apidocs.bitrix24.com/api-reference/common/system/index.html
 */
export function systemMethods(all: () => MethodTable): MethodTable {
  return {
    'server.time': { scopes: [], run: ({ exchange }) => ({ result: isoTime(exchange.startMs) }) },
    'sandbox.echo': {
      scopes: [],
      run: ({ params }) => ({ result: Object.keys(params).length > 0 ? params : [] }),
    },
    scope: {
      scopes: [],
      run: (call) => ({ result: isYes(param(call.params, 'full')) ? SCOPES : granted(call) }),
    },
    methods: { scopes: [], run: (call) => ({ result: methodNames(call, all()) }) },
    'method.get': { scopes: [], run: (call) => ({ result: describe(call, all()) }) },
    'feature.get': { scopes: [], run: feature },
    'app.info': { scopes: [], run: appInfo },
  }
}

function granted({ credential }: Call): string[] {
  return [...credential.scopes]
}

function methodNames(call: Call, all: MethodTable): string[] {
  const scope = param(call.params, 'scope')
  return Object.keys(all).filter((name) => {
    const { scopes } = all[name]!
    if (typeof scope === 'string' && scope !== '') return scopes.includes(scope)
    return isAllowed(call, scopes) || isYes(param(call.params, 'full'))
  })
}

function describe(call: Call, all: MethodTable): Json {
  const method = all[String(param(call.params, 'name') ?? '').toLowerCase()]
  return {
    isExisting: method !== undefined,
    isAvailable: method !== undefined && isAllowed(call, method.scopes),
  }
}

function isAllowed({ credential }: Call, scopes: readonly string[]): boolean {
  return scopes.length === 0 || scopes.some((scope) => credential.scopes.has(scope))
}

/** https://apidocs.bitrix24.com/api-reference/common/system/feature-get.html */
function feature({ params, portal }: Call): Answer {
  const code = param(params, 'CODE')
  if (typeof code !== 'string' || code === '') throw new RestFault('CODE_EMPTY', 'CODE can not be empty')
  return { result: { value: portal.hasFeature(code) ? 'Y' : 'N' } }
}

/**
 * Where portal and authorization server share an address, this is the answer of both.
 *
 * https://apidocs.bitrix24.com/api-reference/common/system/app-info.html
 */
function appInfo(call: Call): Answer {
  const { portal, credential } = call
  if (credential.kind === 'application') {
    const more = portal.authority.shared && credential.expiresAtMs !== undefined ? tokenInfo(credential) : {}
    return { result: { ...applicationInfo(credential), ...more } }
  }
  if (portal.settings.switches.webhookAppInfo === 'denied') {
    throw new RestFault('ACCESS_DENIED', 'Access denied! Application context required')
  }
  return { result: { SCOPE: granted(call), LICENSE: `en_${licenceFamily(portal.plan)}` } }
}

function isYes(value: Json | undefined): boolean {
  return value === true || value === 'true' || value === 1 || value === '1' || value === 'Y'
}
