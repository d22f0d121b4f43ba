import type { BotState } from './bots.ts'
import type { Chat } from './chats.ts'
import type { FieldValue } from './field-values.ts'
import type { LineMessage } from './open-lines.ts'
import type { Registrations } from './registrations.ts'
import type { TextMessage } from './text-messages.ts'
import type { WorkflowState } from './workflows.ts'

/** What applications have registered on a portal, and what they were asked to do. */
export interface PortalWork {
  /** By client id. */
  readonly registered: Readonly<Record<string, Registrations>>
  readonly workflows: readonly WorkflowState[]
  readonly textMessages: readonly TextMessage[]
  readonly bots: readonly BotState[]
  /** With their messages. */
  readonly chats: readonly Chat[]
  /** What was said over connectors of open lines. */
  readonly lineMessages: readonly LineMessage[]
  /** What pages of user fields handed back. */
  readonly fieldValues: readonly FieldValue[]
}
