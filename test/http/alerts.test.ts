import { existsSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { METRICS } from '../../src/http/metric-list.ts'

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly description: string; readonly runbook: string }
}

const file = (name: string): URL => new URL(`../../${name}`, import.meta.url)
const { groups } = parse(readFileSync(file('ops/prometheus/alerts.yaml'), 'utf8')) as {
  groups: { name: string; rules: Rule[] }[]
}
const rules = groups.flatMap((group) => group.rules)

it('alerts by metrics that there are', () => {
  const known: readonly string[] = METRICS.flatMap(({ name, type }) =>
    type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  )
  const used = rules.flatMap(({ expr }) => expr.match(/\bb24_\w+/g) ?? [])
  expect(used.length).toBeGreaterThan(0)
  expect(used.filter((name) => !known.includes(name))).toEqual([])
})

it('says of every alert what happened, how bad it is, and where to read on', () => {
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
  for (const { alert, labels, annotations } of rules) {
    expect(labels.severity, alert).toMatch(/^(?:critical|warning|info)$/)
    expect(annotations.summary, alert).toMatch(/^.{10,}\.$/)
    expect(annotations.description, alert).toMatch(/.{20,}/)
    expect(existsSync(file(annotations.runbook.split('#')[0] as string)), alert).toBe(true)
  }
})
