import type { Priority } from './call.ts'
import type { Json, JsonObject } from './json.ts'
import type { Webhook } from './webhook.ts'

/** One command of a `batch`: its name and what to call. Order is the order of execution. */
export interface BatchEntry {
  readonly name: string
  readonly method: string
  /** Parameters, or the query text as the sender wrote it (`id=5&select[]=ID`). */
  readonly params: JsonObject | readonly Json[] | string
}

/** An exchange and a routing key; the empty exchange leads to the queue of that name. */
export interface ReplyTarget {
  readonly exchange: string
  readonly routingKey: string
}

/**
 * How a write in doubt is looked up: by the mark that the bridge puts into the new object (`origin`: `ORIGINATOR_ID` and
 * `ORIGIN_ID`; `xml_id`: `XML_ID`), or by any list method. At least one row found means that it was carried out.
 */
export type VerifyRecipe = 'origin' | 'xml_id' | { readonly method: string; readonly params: JsonObject }

/** What every command has, whatever contract it came by. */
interface CommandBase {
  /** Portal by name, domain or member id; the default portal when left out. */
  readonly portal?: string
  /** Client id of the application in whose name calls go; by default that of the oldest credential. */
  readonly application?: string
  /** Id of the user whose rights calls have; by default the one of the oldest credential. */
  readonly as?: string
  /** A credential that the message itself carries (contract `rabbitmq-to-bitrix24`). */
  readonly credential?: Webhook
  /** The method as the sender wrote it; for `batch` it is `batch` unless the sender wrote another name. */
  readonly method: string
  /** Echoed in the reply, never sent to the portal. */
  readonly meta: Json
  readonly priority?: Priority
  readonly orderKey?: string
  /** Where the reply goes in place of `reply_to` and the reply queue; false sends none. */
  readonly reply?: ReplyTarget | false
  /** Milliseconds from arrival after which an unsent command is answered with `DEADLINE_EXCEEDED`. */
  readonly deadlineMs?: number
}

/** Call one method. */
export interface CallCommand extends CommandBase {
  readonly action: 'call'
  readonly params: JsonObject | readonly Json[]
  /** Which version of the REST API is called; left out the older one, unless only v3 knows the method. */
  readonly api?: 'v3'
  /** How to find out whether a write in doubt was carried out. */
  readonly verify?: VerifyRecipe
  /** The sender's parameters byte for byte, used when the call travels alone. */
  readonly rawParams?: string
  /** The reply needs the portal's JSON text unchanged. */
  readonly raw?: boolean
}

/** Walk a whole list. */
export interface ListCommand extends CommandBase {
  readonly action: 'list'
  readonly params: JsonObject
}

/** Call up to 50 methods a request, in order, with references between them. */
export interface BatchCommand extends CommandBase {
  readonly action: 'batch'
  readonly params: JsonObject
  readonly entries: readonly BatchEntry[]
  /** Stop after the first failed entry. */
  readonly halt: boolean
}

/** A message that asks for calls, after its contract has parsed it. */
export type Command = CallCommand | ListCommand | BatchCommand
