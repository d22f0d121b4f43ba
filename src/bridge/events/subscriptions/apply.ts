import type { Call } from '../../../model/call.ts'
import { BridgeError, CommandError, RestError } from '../../../model/errors.ts'
import { isJsonObject } from '../../../model/json.ts'
import type { KnownPortal } from '../../../model/portal.ts'
import { handlerUrl, type Sign } from '../handler-url.ts'
import { isOurAddress, pageUrl } from './addresses.ts'
import { type ClientParts, openPortalClient, type PortalClient } from './client.ts'
import type { SubscriptionDocument } from './document.ts'
import { LIST_OF } from './kinds.ts'
import { type Action, kindOf, planSubscriptions, type Remembered, rememberedAfter } from './plan.ts'
import { readBindings } from './read.ts'
import type { AppliedSubscriptions, SubscriptionStore } from './store.ts'
import { wantedOf } from './wanted.ts'

/** What applying is done with. */
export interface ApplyParts extends ClientParts {
  readonly store: SubscriptionStore
  readonly sign: Sign
  /** Offline handlers of an application on a portal were changed, and the store knows it. */
  readonly onOfflineChanged?: (memberId: string, clientId: string) => void
  readonly now: () => number
  readonly sleep: (ms: number) => Promise<void>
}

/** What is to be applied to a portal. */
export interface ApplyRequest {
  readonly document: SubscriptionDocument
  readonly clientId: string
  /** Where the bridge can be reached from outside. */
  readonly base: string
  /** Only says what would be done. */
  readonly dryRun: boolean
}

/** One subscription and what became of it. */
export interface ActionReport extends Pick<Action, 'act' | 'kind' | 'label'> {
  /** `planned` when nothing was to be done, or nothing should be. */
  readonly outcome: 'done' | 'planned' | 'failed'
  readonly error?: BridgeError
}

/** One portal and what became of it; with an error of its own, nothing was changed there. */
export interface PortalReport {
  readonly memberId?: string
  readonly domain: string
  readonly actions: readonly ActionReport[]
  readonly error?: BridgeError
  /** Why a portal that nobody named was left out. */
  readonly skipped?: string
}

/** How long one that is being applied by another process is waited for. */
const WAIT_MS = 20_000
const STEP_MS = 250

/**
 * Makes one portal have what the document says: asks what is bound, and changes what differs, each in one request of up
 * to 50 calls. Doing it twice changes nothing the second time. What failed is in the report; the next time goes on there.
 * Rejects only when the store does.
 */
export async function applyToPortal(
  parts: ApplyParts,
  portal: KnownPortal,
  request: ApplyRequest,
): Promise<PortalReport> {
  const { memberId, domain } = portal
  const release = await claim(parts, `subscriptions/${memberId}/${request.clientId}`)
  if (release === undefined) return { memberId, domain, actions: [], error: busy() }
  try {
    return { memberId, domain, actions: await carryOut(parts, portal, request) }
  } catch (error) {
    if (!(error instanceof BridgeError)) throw error
    return { memberId, domain, actions: [], error }
  } finally {
    await release()
  }
}

async function carryOut(
  parts: ApplyParts,
  { memberId, domain }: KnownPortal,
  { document, clientId, base, dryRun }: ApplyRequest,
): Promise<ActionReport[]> {
  const { store, now, sign } = parts
  const before = await store.findApplied(memberId, clientId)
  const remembered = JSON.parse(before?.remembered ?? '{}') as Remembered
  const keep = (after: Remembered): Promise<void> => {
    const row: AppliedSubscriptions = {
      memberId,
      clientId,
      base,
      document: JSON.stringify(document),
      remembered: JSON.stringify(after),
      appliedAt: now(),
    }
    return store.saveApplied(row)
  }
  // Whatever comes of it now: it is what the portal should have after its next installation.
  if (!dryRun) await keep(remembered)
  const client = await openPortalClient(parts, { memberId, domain }, clientId)
  const wanted = wantedOf(document, {
    handler: handlerUrl(base, memberId, sign),
    page: (name) => pageUrl(base, name),
  })
  const { bound, refused } = await readBindings(client)
  for (const { kind } of wanted) {
    const error = refused.get(LIST_OF[kind])
    if (error !== undefined) throw error
  }
  const bases = before === undefined ? [base] : [base, before.base]
  const isOurs = (url: string): boolean => bases.some((one) => isOurAddress(one, url))
  const actions = planSubscriptions({ wanted, bound, remembered, isOurs })
  if (dryRun) return actions.map((action) => reportOf(action, 'planned'))

  const failed = await call(client, actions)
  if (actions.some(({ kind, calls }) => kind === 'offline' && calls.length > 0)) {
    await store.offlineChanged(memberId, clientId)
    parts.onOfflineChanged?.(memberId, clientId)
  }
  // What could not be asked for may still be there.
  const unseen = Object.entries(remembered).filter(([id]) => refused.has(LIST_OF[kindOf(id)]))
  await keep({
    ...Object.fromEntries(unseen),
    ...rememberedAfter(actions, new Set(failed.keys()), remembered),
  })
  return actions.map((action) => {
    const error = failed.get(action)
    if (error !== undefined) return { ...reportOf(action, 'failed'), error }
    return reportOf(action, action.calls.length > 0 ? 'done' : 'planned')
  })
}

/** Makes all calls in order, those under the name of a connector apart; the errors by action. */
async function call(
  client: Pick<PortalClient, 'batch' | 'under'>,
  actions: readonly Action[],
): Promise<Map<Action, BridgeError>> {
  const named = actions.flatMap((action, at) =>
    action.calls.map((one, index) => ({ action, name: `a${at}_${index}`, one })),
  )
  const failed = new Map<Action, BridgeError>()
  for (const connector of new Set(named.map(({ one }) => connectorOf(one)))) {
    const some = named.filter(({ one }) => connectorOf(one) === connector)
    const own = connector === '' ? client : client.under(connector)
    const { errors, results } = await own.batch(
      Object.fromEntries(some.map(({ name, one }) => [name, [one.method, one.params] as const])),
    )
    for (const { action, name } of some) {
      const error = errors[name] ?? hiddenError(results[name])
      if (error !== undefined && !isThereAlready(error)) failed.set(action, error)
    }
  }
  return failed
}

function connectorOf({ params }: Call): string {
  return isJsonObject(params) && typeof params.auth_connector === 'string' ? params.auth_connector : ''
}

/**
 * Some refusals of `placement.bind` come as a result. https://apidocs.bitrix24.com/api-reference/widgets/placement-bind.html
 */
function hiddenError(result: unknown): RestError | undefined {
  if (!isJsonObject(result) || typeof result.error !== 'string') return undefined
  return new RestError(result.error, String(result.error_description ?? ''), 200)
}

/** Somebody was quicker. https://apidocs.bitrix24.com/api-reference/events/event-bind.html */
function isThereAlready(error: BridgeError): boolean {
  return error instanceof RestError && /already bind?ed|already bound/i.test(error.description)
}

async function claim({ store, sleep }: ApplyParts, name: string): Promise<(() => Promise<void>) | undefined> {
  for (let waited = 0; ; waited += STEP_MS) {
    const release = await store.claim(name)
    if (release !== undefined || waited >= WAIT_MS) return release
    await sleep(STEP_MS)
  }
}

function reportOf({ act, kind, label }: Action, outcome: ActionReport['outcome']): ActionReport {
  return { act, kind, label, outcome }
}

function busy(): CommandError {
  return new CommandError(
    'SUBSCRIPTIONS_BUSY',
    'Another process is changing the subscriptions of the portal',
    {
      status: 503,
      hint: 'Try again in a minute.',
    },
  )
}
