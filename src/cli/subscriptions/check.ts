import { handlerUrl } from '../../bridge/events/handler-url.ts'
import { type ApplyParts, applyToPortal } from '../../bridge/events/subscriptions/apply.ts'
import { openPortalClient } from '../../bridge/events/subscriptions/client.ts'
import { readDocument, type SubscriptionDocument } from '../../bridge/events/subscriptions/document.ts'
import type { Target } from '../../bridge/events/subscriptions/many.ts'
import type { Transport } from '../../client/transport.ts'
import type { Config } from '../../config/config.ts'
import { BridgeError } from '../../model/errors.ts'
import { isJsonObject } from '../../model/json.ts'
import type { KnownPortal } from '../../model/portal.ts'
import { type Finding, fail, ok, warn } from '../doctor/finding.ts'
import { EXIT } from '../exit-codes.ts'
import { withPortals } from '../portals/lanes.ts'
import type { Vault } from '../vault.ts'
import { applyParts, baseOf } from './apply.ts'
import { meant, type WhichPortals } from './list.ts'

/** What was found about the bridge itself, and about each portal. */
export interface CheckedSubscriptions {
  readonly here: readonly Finding[]
  readonly portals: readonly {
    readonly domain: string
    readonly memberId: string | null
    readonly findings: readonly Finding[]
  }[]
}

/** Looks at the public address and at portals; changes nothing. */
export function checkSubscriptions(
  from: { readonly config: Config; readonly cwd: string },
  vault: Vault,
  which: WhichPortals,
): Promise<CheckedSubscriptions> {
  const { config } = from
  return withPortals(from, vault, async (tools) => {
    const parts = applyParts(vault, tools)
    const here = [await checkAddress(config, parts, tools.transport)]
    const portals = []
    for await (const { target, clientId } of meant(parts, which)) {
      const found = await checkPortal(parts, config, target, clientId)
      portals.push(found)
    }
    return { here, portals }
  })
}

/** Posts what no portal posts: whatever refuses it in our words is a bridge. */
async function checkAddress(
  config: Config,
  { sign }: Pick<ApplyParts, 'sign'>,
  transport: Pick<Transport, 'post'>,
): Promise<Finding> {
  const check = 'address'
  try {
    const url = new URL(handlerUrl(baseOf(config), 'check', sign))
    url.searchParams.set('key', 'none')
    const { status, text } = await transport.post(url.origin, `${url.pathname}${url.search}`, '{}')
    const where = `${url.origin}${url.pathname}`
    if (isRefusal(text)) return ok(check, `${where} answers`)
    return failed(check, `${where} answered ${status}, but no bridge does so`, REACH)
  } catch (error) {
    return fail(check, error)
  }
}

const REACH =
  'BRIDGE_PUBLIC_URL must lead to a running bridge, through the proxy in front of it, from this machine too.'

async function checkPortal(
  parts: ApplyParts,
  config: Config,
  target: Target,
  clientId: string,
): Promise<CheckedSubscriptions['portals'][number]> {
  if ('error' in target)
    return { domain: target.name, memberId: null, findings: [fail('portal', target.error)] }
  const { portal, skipped } = target
  const { domain, memberId } = portal
  const findings =
    skipped === undefined
      ? await findingsOf(parts, config, portal, clientId)
      : [warn('portal', skipped, 'Nobody can be called there; install the application again.')]
  return { domain, memberId, findings }
}

async function findingsOf(
  parts: ApplyParts,
  config: Config,
  portal: KnownPortal,
  clientId: string,
): Promise<Finding[]> {
  try {
    const applied = await parts.store.findApplied(portal.memberId, clientId)
    const read = applied === undefined ? undefined : readDocument(JSON.parse(applied.document))
    const document = read !== undefined && 'document' in read ? read.document : undefined
    const features = await checkFeatures(parts, portal, clientId, document)
    if (applied === undefined || document === undefined)
      return [...features, warn('bound', 'nothing was applied yet', '`b24-bridge events apply` does it.')]
    const base = document.base ?? config.publicUrl ?? applied.base
    const { actions, error } = await applyToPortal(parts, portal, { document, clientId, base, dryRun: true })
    if (error !== undefined) return [...features, fail('bound', error)]
    const differing = actions.filter(({ act }) => act !== 'keep' && act !== 'foreign')
    if (differing.length === 0) return [...features, ok('bound', 'all that was applied is there')]
    const what = differing.map(({ act, kind, label }) => `${act} ${kind} ${label}`).join(', ')
    return [...features, failed('bound', `differs from what was applied: ${what}`, APPLY)]
  } catch (error) {
    if (!(error instanceof BridgeError)) throw error
    return [fail('portal', error)]
  }
}

const APPLY = 'Apply it again: `b24-bridge events apply`.'

/** https://apidocs.bitrix24.com/api-reference/common/system/feature-get.html */
async function checkFeatures(
  parts: ApplyParts,
  portal: KnownPortal,
  clientId: string,
  document: SubscriptionDocument | undefined,
): Promise<Finding[]> {
  const client = await openPortalClient(parts, portal, clientId)
  const { results, errors } = await client.batch({
    offline: ['feature.get', { CODE: 'rest_offline_extended' }],
    connector: ['feature.get', { CODE: 'rest_auth_connector' }],
  })
  const error = errors.offline ?? errors.connector
  if (error !== undefined) return [fail('plan', error)]
  const has = (value: unknown): boolean => isJsonObject(value) && value.value === 'Y'
  const lacking = [
    ...(has(results.offline) ? [] : ['keep offline events until they are confirmed (rest_offline_extended)']),
    ...(has(results.connector) ? [] : ['tell connectors apart (rest_auth_connector)']),
  ]
  if (lacking.length === 0) return [ok('plan', 'offline events with confirmation and connectors')]
  const text = `the subscription cannot ${lacking.join(' nor ')}`
  const needs = document?.offline.some(({ connector }) => connector !== undefined) === true
  return needs && !has(results.connector)
    ? [failed('plan', text, 'Leave out connector in the file, or take a bigger subscription.')]
    : [warn('plan', text)]
}

/** A refusal as our HTTP side writes it. */
function isRefusal(text: string): boolean {
  try {
    const body: unknown = JSON.parse(text)
    return isJsonObject(body) && typeof body.error === 'string' && typeof body.error_description === 'string'
  } catch {
    return false
  }
}

function failed(check: string, text: string, hint: string): Finding {
  return { ...fail(check, new BridgeError('FAILED', text)), hint, exitCode: EXIT.refused }
}
