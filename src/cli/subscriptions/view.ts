import type { ActionReport, PortalReport } from '../../bridge/events/subscriptions/apply.ts'
import type { BridgeError } from '../../model/errors.ts'
import type { JsonObject } from '../../model/json.ts'
import { maskSecrets } from '../../model/webhook.ts'
import { EXIT, exitCodeOf } from '../exit-codes.ts'
import { tableLines } from '../table.ts'

const DONE = { bind: 'bound', change: 'changed', unbind: 'unbound' } as const
const PLANNED = { bind: 'to bind', change: 'to change', unbind: 'to unbind' } as const

/** A portal for people: what was or would be done; what is as it should be only as a number. */
export function reportLines({ domain, actions, error, skipped }: PortalReport): string[] {
  if (skipped !== undefined) return [`${domain}: left out: ${maskSecrets(skipped)}`]
  if (error !== undefined) return [`${domain}: FAILED`, ...errorLines(error)]
  const changes = actions.filter(({ act }) => act !== 'keep' && act !== 'foreign')
  const kept = actions.filter(({ act }) => act === 'keep').length
  const foreign = actions.filter(({ act }) => act === 'foreign').length
  const more = foreign === 0 ? '' : `, ${foreign} of others left alone`
  if (changes.length === 0) return [`${domain}: nothing to do, ${kept} as they should be${more}`]
  const table = tableLines(
    ['', '', ''],
    changes.map((one) => [wordOf(one), one.kind, one.label]),
  ).slice(1)
  const errors = changes.flatMap(({ error: failed, label }) =>
    failed === undefined ? [] : [`  ${label}: ${maskSecrets(failed.message)}`, ...hintLines(failed)],
  )
  return [
    `${domain}: ${changes.length} to do, ${kept} as they should be${more}`,
    ...table.map((line) => `  ${line}`),
    ...errors,
  ]
}

/** A portal for programs. */
export function reportJson({ domain, memberId, actions, error, skipped }: PortalReport): JsonObject {
  return {
    domain,
    memberId: memberId ?? null,
    state: error !== undefined ? 'failed' : skipped === undefined ? stateOf(actions) : 'skipped',
    ...(skipped === undefined ? {} : { reason: maskSecrets(skipped) }),
    ...(error === undefined ? {} : { error: errorJson(error) }),
    actions: actions.map(({ act, kind, label, outcome, error: failed }) => ({
      act,
      kind,
      label,
      outcome,
      ...(failed === undefined ? {} : { error: errorJson(failed) }),
    })),
  }
}

/** 0 when all portals have what they should; otherwise the code that fits the worst of what failed. */
export function exitCodeOfReports(reports: readonly PortalReport[]): number {
  const errors = reports.flatMap(({ error, actions }) => [error, ...actions.map((one) => one.error)])
  const codes = errors.filter((error) => error !== undefined).map((error) => exitCodeOf(error))
  return (
    [EXIT.unexpected, EXIT.unknown, EXIT.unreachable, EXIT.refused, EXIT.usage].find((code) =>
      codes.includes(code),
    ) ?? EXIT.ok
  )
}

function stateOf(actions: readonly ActionReport[]): string {
  if (actions.some(({ outcome }) => outcome === 'failed')) return 'partly failed'
  const changes = actions.filter(({ act }) => act !== 'keep' && act !== 'foreign')
  if (changes.length === 0) return 'unchanged'
  return changes.every(({ outcome }) => outcome === 'planned') ? 'planned' : 'changed'
}

function wordOf({ act, outcome }: ActionReport): string {
  if (act === 'keep' || act === 'foreign') return act
  return outcome === 'failed' ? 'FAILED' : (outcome === 'done' ? DONE : PLANNED)[act]
}

function errorLines(error: BridgeError): string[] {
  return [`  ${maskSecrets(error.message)}`, ...hintLines(error)]
}

function hintLines({ hint }: BridgeError): string[] {
  return hint === undefined ? [] : [`  → ${hint}`]
}

function errorJson({ code, message, hint }: BridgeError): JsonObject {
  return { code, message: maskSecrets(message), ...(hint === undefined ? {} : { hint }) }
}
