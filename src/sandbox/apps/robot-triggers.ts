import type { Json } from '../../model/json.ts'
import { isJsonObject } from '../../model/json.ts'
import type { FormValue } from '../form.ts'
import type { Portal } from '../portal.ts'
import { documentOf } from './documents.ts'
import { authOf, type EventParts } from './events.ts'
import type { Installation } from './installations.ts'
import { isReady, post } from './posts.ts'
import type { Robot } from './registrations.ts'
import type { Delivery } from './sender.ts'

/** A workflow comes to a robot or an activity of an application. */
export interface RobotTrigger {
  readonly do: 'robot' | 'activity'
  readonly clientId: string
  readonly code: string
  /** `DEAL_7`, which is also the default. */
  readonly document?: string
  /** Values by the registered ids; those not given have their registered defaults. */
  readonly properties?: { readonly [id: string]: Json }
  /** The user chosen in the designer, where the robot leaves it open. */
  readonly userId?: number
  /** Waits for the answer, where the robot leaves it open. */
  readonly subscribe?: boolean
  /** How long it waits; 0, the default, without end. */
  readonly timeoutSeconds?: number
}

/** A workflow comes to an "outgoing webhook", which posts the document's id to any address. */
export interface WorkflowWebhookTrigger {
  readonly do: 'workflow-webhook'
  readonly url: string
  /** `DEAL_7`, which is also the default. */
  readonly document?: string
}

/**
 * Calls a robot's handler. The workflow stands still only when `use_subscription` is `Y`.
 *
 * https://apidocs.bitrix24.com/api-reference/bizproc/bizproc-robot/index.html
 */
export async function runRobot(
  parts: EventParts,
  installation: Installation,
  trigger: RobotTrigger,
): Promise<{ readonly workflowId: string; readonly deliveries: Delivery[] }> {
  const { portal, application } = installation
  const { code } = trigger
  const robot = installation.registered.robots.find(
    (known) => known.kind === trigger.do && known.code === code,
  )
  if (robot === undefined) throw new Error(`${application.clientId} has no ${trigger.do} ${code}`)
  const document = documentOf(portal, trigger.document ?? 'DEAL_7')
  const properties = propertiesFor(robot, trigger.properties ?? {})
  const subscription = robot.useSubscription || (trigger.subscribe === true ? 'Y' : 'N')
  const timeoutSeconds = trigger.timeoutSeconds ?? 0
  const nowMs = portal.now()
  const workflow = portal.workflows.start({
    robot,
    clientId: application.clientId,
    documentId: document.id,
    waits: subscription === 'Y' && isReady(installation),
    timeoutSeconds,
    nowMs,
  })
  if (!isReady(installation)) return { workflowId: workflow.id, deliveries: [] }
  const userId = robot.authUserId || (trigger.userId ?? 1)
  const form = {
    workflow_id: workflow.id,
    code,
    document_id: document.id,
    document_type: document.type,
    event_token: workflow.eventToken,
    properties,
    use_subscription: subscription,
    timeout_duration: timeoutSeconds,
    ts: Math.floor(nowMs / 1000),
    auth: authOf(parts.authority, installation, { userId, withRefreshToken: true }),
  }
  const deliveries = await post(parts, installation, { kind: trigger.do, url: robot.handler, form })
  return { workflowId: workflow.id, deliveries }
}

/** Posts the document's id and nothing else; whatever stands in the address stays there. */
export async function callWorkflowWebhook(
  parts: EventParts,
  portal: Portal,
  { url, document = 'DEAL_7' }: WorkflowWebhookTrigger,
): Promise<{ readonly deliveries: Delivery[] }> {
  const form = { document_id: documentOf(portal, document).id }
  return { deliveries: await post(parts, { portal }, { kind: 'workflow-webhook', url, form }) }
}

function propertiesFor(
  { code, properties }: Robot,
  given: { readonly [id: string]: Json },
): { readonly [id: string]: FormValue } {
  const stranger = Object.keys(given).find((id) => properties[id] === undefined)
  if (stranger !== undefined) throw new Error(`${code} has no property ${stranger}`)
  return Object.fromEntries(
    Object.entries(properties).map(([id, property]) => {
      const usual = isJsonObject(property) ? property.DEFAULT : undefined
      return [id, given[id] ?? usual ?? '']
    }),
  )
}
