import type { JsonObject } from '../../model/json.ts'
import type { PushConfig } from './config.ts'
import type { PushTransport } from './fallback.ts'
import type { PushMessage } from './message.ts'
import type { Position } from './position.ts'

/** What a connection is told. Inputs with the `turn` of something earlier are stale and change nothing. */
export type PushInput =
  | { readonly type: 'start' | 'tick' | 'hold' | 'release' | 'retry' | 'stop' }
  | { readonly type: 'configured'; readonly turn: number; readonly config: PushConfig }
  /** `lasting`: asking again soon will not help. */
  | { readonly type: 'refused'; readonly turn: number; readonly code: string; readonly lasting: boolean }
  | { readonly type: 'opened' | 'alive'; readonly turn: number }
  | { readonly type: 'frame'; readonly turn: number; readonly data: string | Buffer }
  /** `text`: the reason of a close, or the body of a refused upgrade. 1006 where nothing else is known. */
  | { readonly type: 'closed'; readonly turn: number; readonly code: number; readonly text: string }
  | Polled
  /** These messages are where they belong. */
  | { readonly type: 'handled'; readonly messages: readonly PushMessage[] }

/** How a long poll ended. */
export interface Polled {
  readonly type: 'polled'
  readonly turn: number
  /** 0 when there was no answer. */
  readonly status: number
  readonly body: string | Buffer
  readonly lastMessageId?: string
}

/** What a connection wants to be done. */
export type PushAction =
  /** Ask the portal for the configuration. */
  | { readonly do: 'ask'; readonly turn: number }
  | { readonly do: 'connect'; readonly turn: number; readonly address: string }
  | { readonly do: 'poll'; readonly turn: number; readonly address: string }
  /** End the socket or the poll, whichever there is. */
  | { readonly do: 'close'; readonly code: number }
  | { readonly do: 'send'; readonly text: string }
  | { readonly do: 'ping' }
  /** In this order. Messages for the connection itself are among them, so that the position can pass them. */
  | { readonly do: 'deliver'; readonly messages: readonly PushMessage[] }
  | Connected
  /** A line for the log. */
  | { readonly do: 'report'; readonly event: string; readonly fields: JsonObject }

/** It listens again; offline events may have come meanwhile. */
export interface Connected {
  readonly do: 'connected'
  readonly transport: PushTransport
  /** The first position of a connection that had none. */
  readonly begin?: Position
  /** Nothing was heard for so long that the server's history does not reach back. */
  readonly gapMs?: number
}
