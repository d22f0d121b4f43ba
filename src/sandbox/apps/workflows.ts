import { createHmac, randomBytes, randomInt } from 'node:crypto'
import type { Json, JsonObject } from '../../model/json.ts'
import type { Robot } from './registrations.ts'

/** A workflow that came to a robot or an activity of an application. */
export interface WorkflowState {
  readonly id: string
  readonly clientId: string
  readonly kind: Robot['kind']
  readonly code: string
  /** Module, class and `DEAL_7`. */
  readonly documentId: readonly string[]
  /**
   * `waiting` for `bizproc.event.send`; `answered` by it; `timed-out` when the answer took too long; `passed` when the
   * workflow did not wait at all.
   */
  readonly state: 'waiting' | 'answered' | 'timed-out' | 'passed'
  /** By registered name; names that were not registered are dropped. */
  readonly returnValues: JsonObject
  readonly log: readonly string[]
}

interface Workflow extends WorkflowState {
  readonly returnNames: readonly string[]
  /** When the workflow goes on by itself; infinite without a limit. */
  readonly untilMs: number
  state: 'waiting' | 'answered' | 'passed'
  returnValues: JsonObject
  readonly log: string[]
}

/** What is started. */
export interface WorkflowStart {
  readonly robot: Robot
  readonly clientId: string
  readonly documentId: readonly string[]
  readonly waits: boolean
  /** 0 waits without end. */
  readonly timeoutSeconds: number
  readonly nowMs: number
}

/**
 * The workflows of a portal. Each is one step: a robot is called, and where it subscribes the workflow stands still
 * until the robot answers or the time is over. An event token names the workflow and is signed, so that a forged one is
 * told from one that came too late.
 *
 * https://apidocs.bitrix24.com/api-reference/bizproc/bizproc-robot/bizproc-event-send.html
 */
export class Workflows {
  readonly #key = randomBytes(32)
  readonly #byId = new Map<string, Workflow>()

  /** Gives the workflow's id and the token that the handler answers with. */
  start({ robot, clientId, documentId, waits, timeoutSeconds, nowMs }: WorkflowStart): {
    readonly id: string
    readonly eventToken: string
  } {
    const id = newWorkflowId()
    this.#byId.set(id, {
      id,
      clientId,
      kind: robot.kind,
      code: robot.code,
      documentId,
      returnNames: Object.keys(robot.returnProperties),
      untilMs: timeoutSeconds === 0 ? Number.POSITIVE_INFINITY : nowMs + timeoutSeconds * 1000,
      state: waits ? 'waiting' : 'passed',
      returnValues: {},
      log: [],
    })
    const activity = `A${randomInt(1e4, 1e5)}_${randomInt(1e4, 1e5)}_${randomInt(1e4, 1e5)}_${randomInt(1e4, 1e5)}`
    const signed = `${id}|${activity}|${randomBytes(16).toString('hex')}`
    return { id, eventToken: `${signed}.${this.#sign(signed)}` }
  }

  /** Lets a waiting workflow go on; a late or repeated answer has no effect. False when the token is forged. */
  answer(eventToken: string, returnValues: JsonObject, log: string, nowMs: number): boolean {
    const id = this.#idIn(eventToken)
    if (id === undefined) return false
    const workflow = this.#waiting(id, nowMs)
    if (workflow === undefined) return true
    workflow.returnValues = registered(workflow.returnNames, returnValues)
    workflow.state = 'answered'
    if (log !== '') workflow.log.push(log)
    return true
  }

  /** Writes into the log of a waiting workflow. False when the token is forged. */
  note(eventToken: string, log: string, nowMs: number): boolean {
    const id = this.#idIn(eventToken)
    if (id === undefined) return false
    this.#waiting(id, nowMs)?.log.push(log)
    return true
  }

  /** All of them, oldest first. */
  list(nowMs: number): WorkflowState[] {
    return [...this.#byId.values()].map(({ returnNames, untilMs, ...workflow }) => ({
      ...structuredClone(workflow),
      state: workflow.state === 'waiting' && nowMs >= untilMs ? 'timed-out' : workflow.state,
    }))
  }

  #waiting(id: string, nowMs: number): Workflow | undefined {
    const workflow = this.#byId.get(id)
    return workflow?.state === 'waiting' && nowMs < workflow.untilMs ? workflow : undefined
  }

  #idIn(eventToken: string): string | undefined {
    const dot = eventToken.lastIndexOf('.')
    const signed = eventToken.slice(0, dot)
    return eventToken.slice(dot + 1) === this.#sign(signed) ? signed.split('|', 1)[0] : undefined
  }

  #sign(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('hex')
  }
}

/** Two numbers with a dot between them, as portals number workflows. */
export function newWorkflowId(): string {
  return `${randomBytes(7).toString('hex')}.${randomInt(1e7, 1e8)}`
}

function registered(names: readonly string[], values: JsonObject): JsonObject {
  const kept: Record<string, Json> = {}
  for (const [given, value] of Object.entries(values)) {
    const name = names.find((known) => known.toLowerCase() === given.toLowerCase())
    if (name !== undefined) kept[name] = value
  }
  return kept
}
