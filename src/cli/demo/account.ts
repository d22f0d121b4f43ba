import type { Message } from '../../brokers/broker.ts'
import { isJsonObject } from '../../model/json.ts'
import type { DemoCommand } from './commands.ts'

/** Keeps the books of the demo: which command has had its reply, and whether it was right. */
export interface Account {
  /** Takes in one reply. */
  replied(message: Message): void
  readonly replies: number
  readonly complete: boolean
  readonly byOutcome: Readonly<Record<string, number>>
  /** What went wrong, a sentence each: no reply, two replies, a wrong one, one that nobody asked for. */
  faults(): string[]
}

export function openAccount(commands: readonly DemoCommand[]): Account {
  const open = new Map(commands.map((command) => [command.id, command]))
  const seen = new Set<string>()
  const faults: string[] = []
  const byOutcome: Record<string, number> = {}
  let replies = 0
  return {
    get replies() {
      return replies
    },
    get complete() {
      return open.size === 0
    },
    byOutcome,
    replied(message) {
      replies++
      const id = message.correlationId ?? ''
      const command = open.get(id)
      const body: unknown = JSON.parse(message.body.toString())
      if (!isJsonObject(body)) {
        faults.push(`${id}: the reply is not an object`)
        return
      }
      if (command === undefined) {
        faults.push(seen.has(id) ? `${id}: a second reply` : `${id}: a reply that nobody asked for`)
        return
      }
      open.delete(id)
      seen.add(id)
      const outcome = String(body.outcome)
      byOutcome[outcome] = (byOutcome[outcome] ?? 0) + 1
      const wrong = command.wrong(body)
      if (wrong !== undefined) faults.push(`${id}: ${wrong}`)
    },
    faults: () => [...faults, ...[...open.keys()].map((id) => `${id}: no reply`)],
  }
}
