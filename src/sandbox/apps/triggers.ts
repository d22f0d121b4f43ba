import type { Portal } from '../portal.ts'
import { actInChat, type BotTrigger } from './bot-triggers.ts'
import type { EventParts } from './events.ts'
import type { Installation } from './installations.ts'
import { actOnLine, type LineTrigger } from './line-triggers.ts'
import { type MessageTrigger, sendMessage } from './message-triggers.ts'
import {
  callWorkflowWebhook,
  type RobotTrigger,
  runRobot,
  type WorkflowWebhookTrigger,
} from './robot-triggers.ts'
import type { Delivery } from './sender.ts'

/**
 * Something on the portal that makes it call a handler of an application.
 *
 * | `do` | means |
 * | --- | --- |
 * | `robot`, `activity` | a workflow comes to it |
 * | `workflow-webhook` | a workflow posts the document's id to an address |
 * | `sms` | a text message goes out through a provider |
 * | `operator` | an operator of an open line writes to a client over a connector |
 * | `disconnect` | somebody takes a connector off a line |
 * | `open-chat`, `invite`, `say`, `edit`, `erase` | somebody does something in a chat with bots |
 */
export type Trigger = RobotTrigger | WorkflowWebhookTrigger | MessageTrigger | LineTrigger | BotTrigger

/** What came of a trigger. */
export interface TriggerOutcome {
  /** What was posted to handlers; empty for an application that is not installed to its end or not paid for. */
  readonly deliveries: readonly Delivery[]
  readonly workflowId?: string
  /** The id by which the provider knows a text message. */
  readonly messageId?: string
  /** `im[message_id]` of an operator's message. */
  readonly lineMessageId?: number
  readonly chatId?: number
  readonly chatMessageId?: number
}

/** Carries out a trigger. Resolves when the handlers have answered or will not; rejects when it is not possible. */
export async function pullTrigger(
  parts: EventParts,
  portal: Portal,
  trigger: Trigger,
): Promise<TriggerOutcome> {
  switch (trigger.do) {
    case 'robot':
    case 'activity':
      return runRobot(parts, installationFor(portal, trigger), trigger)
    case 'workflow-webhook':
      return callWorkflowWebhook(parts, portal, trigger)
    case 'sms':
      return sendMessage(parts, installationFor(portal, trigger), trigger)
    case 'operator':
    case 'disconnect':
      return actOnLine(portal, trigger)
    default:
      return actInChat(parts, portal, trigger)
  }
}

function installationFor(portal: Portal, { clientId }: { readonly clientId: string }): Installation {
  const installation = portal.installations.find(clientId)
  if (installation === undefined) throw new Error(`${clientId} is not installed on ${portal.domain}`)
  return installation
}
