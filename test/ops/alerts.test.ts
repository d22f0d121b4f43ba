import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { parse, stringify } from 'yaml'
import { METRICS } from '../../src/http/metric-list.ts'

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly description: string; readonly runbook: string }
}

const file = (name: string): URL => new URL(`../../${name}`, import.meta.url)
const RULES = file('ops/prometheus/alerts.yaml')
const { groups } = parse(readFileSync(RULES, 'utf8')) as { groups: { name: string; rules: Rule[] }[] }
const rules = groups.flatMap((group) => group.rules)

/**
 * For each alert series that set it off when they have run for hours, a value a minute; `+3` rises by three each time. https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
 */
const SET_OFF: Readonly<Record<string, readonly string[]>> = {
  B24Down: [],
  B24EventLoopBusy: ['nodejs_eventloop_lag_p99_seconds{job="b24-bridge",instance="a"} 0.5'],
  B24ApiErrors: ['b24_api_requests_total{route="/metrics",status="500"} +1'],
  B24CommandsStuck: ['b24_command_oldest_age_seconds{instance="a"} 901'],
  B24Backlog: ['b24_calls_waiting{instance="a"} +1'],
  B24UnknownOutcomes: ['b24_commands_total{outcome="done"} +500', 'b24_commands_total{outcome="unknown"} +1'],
  B24DeadLetters: ['b24_dead_letters_total{reason="BODY_NOT_JSON"} +1'],
  B24DeadLettersForgotten: ['b24_dead_letters_open{instance="a"} 1'],
  B24PortalSuspended: ['b24_token_refreshes_total{outcome="suspended"} +1'],
  B24TokensNotRenewed: ['b24_token_refreshes_total{outcome="failed"} +1'],
  B24PortalsBlocked: ['b24_lanes{state="blocked"} 2', 'b24_lanes{state="ready"} 98'],
  B24PortalErrors: [
    'b24_http_requests_total{status_class="none"} +2',
    'b24_http_requests_total{status_class="2xx"} +98',
  ],
  B24PortalsSlow: [
    'b24_http_request_duration_seconds_bucket{le="40"} +99',
    'b24_http_request_duration_seconds_count +100',
  ],
  B24RateLimited: [
    'b24_rate_limited_total{by="portal"} +2',
    'b24_http_requests_total{status_class="2xx"} +100',
  ],
  B24OperatingNearLimit: ['b24_operating_ratio_max 0.95'],
  B24BrokerAway: ['b24_amqp_connected{instance="a"} 0', 'b24_amqp_connected{instance="b"} 1'],
  B24BrokerBlocked: ['b24_amqp_blocked{instance="a"} 1'],
  B24EventsLost: ['b24_events_received_total{result="lost"} +1'],
  B24EventsRefused: [
    'b24_events_received_total{result="refused"} +2',
    'b24_events_received_total{result="published"} +10',
  ],
  B24EventsSlow: [
    'b24_event_ack_seconds_bucket{le="1"} +90',
    'b24_event_ack_seconds_bucket{le="3"} +100',
    'b24_event_ack_seconds_bucket{le="+Inf"} +100',
  ],
  B24EventsSpooled: ['b24_event_spool_size 5', 'b24_event_spool_age_seconds 400'],
  B24EventsUnrouted: ['b24_events_published_total{routed="no"} +1'],
  B24ScansFailing: ['b24_scans_total{result="failed"} +1', 'b24_scans_total{result="done"} 7'],
  B24OfflineLag: ['b24_offline_lag_seconds 4000'],
  B24OfflineUnconfirmed: ['b24_offline_unconfirmed_batches 1'],
  B24OfflineTrouble: ['b24_offline_queues{state="trouble"} 2', 'b24_offline_queues{state="ready"} 98'],
  B24BotsTrouble: ['b24_bot_fetches{state="trouble"} 1', 'b24_bot_fetches{state="ready"} 98'],
  B24PushDisconnected: ['b24_push_connections{state="connecting"} 2', 'b24_push_connections{state="open"} 8'],
  B24PushRefused: ['b24_push_messages_total{fate="refused"} +1'],
  B24OutboxBehind: ['b24_outbox_age_seconds 700'],
  B24OutboxDead: ['b24_outbox_rows_total{state="dead"} +1', 'b24_outbox_callbacks_total{result="dead"} 0'],
}

/** A bridge with work to do, and none of these alerts. */
const CALM = [
  'b24_amqp_connected{instance="a"} 1',
  'b24_amqp_blocked{instance="a"} 0',
  'nodejs_eventloop_lag_p99_seconds{job="b24-bridge",instance="a"} 0.02',
  'b24_api_requests_total{route="/v1/commands",status="503"} +10',
  'b24_command_oldest_age_seconds{instance="a"} 60',
  'b24_calls_waiting{instance="a"} 5000',
  'b24_commands_total{outcome="done"} +5000',
  'b24_commands_total{outcome="failed"} +500',
  'b24_commands_total{outcome="unknown"} 3',
  'b24_dead_letters_total{reason="BODY_NOT_JSON"} 3',
  'b24_dead_letters_open{instance="a"} 0',
  'b24_token_refreshes_total{outcome="refreshed"} +3',
  'b24_token_refreshes_total{outcome="failed"} +1',
  'b24_token_refreshes_total{outcome="suspended"} 1',
  'b24_lanes{state="blocked"} 1',
  'b24_lanes{state="ready"} 999',
  'b24_http_requests_total{status_class="2xx"} +1000',
  'b24_http_requests_total{status_class="5xx"} +1',
  'b24_rate_limited_total{by="portal"} +1',
  'b24_http_request_duration_seconds_bucket{le="40"} +1001',
  'b24_http_request_duration_seconds_count +1001',
  'b24_operating_ratio_max 0.5',
  'b24_events_received_total{result="published"} +1000',
  'b24_events_received_total{result="refused"} +10',
  'b24_events_received_total{result="lost"} 2',
  'b24_event_ack_seconds_bucket{le="1"} +1000',
  'b24_event_ack_seconds_bucket{le="+Inf"} +1000',
  'b24_event_spool_size 3',
  'b24_event_spool_age_seconds 2',
  'b24_events_published_total{routed="no"} 5',
  'b24_scans_total{result="failed"} +1',
  'b24_scans_total{result="done"} +9',
  'b24_offline_lag_seconds 20',
  'b24_offline_unconfirmed_batches 0',
  'b24_offline_queues{state="trouble"} 0',
  'b24_offline_queues{state="ready"} 98',
  'b24_bot_fetches{state="trouble"} 0',
  'b24_bot_fetches{state="ready"} 98',
  'b24_push_connections{state="connecting"} 0',
  'b24_push_connections{state="open"} 8',
  'b24_push_messages_total{fate="refused"} 4',
  'b24_outbox_age_seconds 7',
  'b24_outbox_rows_total{state="dead"} 2',
  'b24_outbox_callbacks_total{result="dead"} 1',
]

const promtool = process.env.PROMTOOL ?? 'promtool'
const promtoolNote =
  spawnSync(promtool, ['--version']).status === 0 ? '' : ' (skipped: no promtool here; set PROMTOOL to one)'

it('alerts by metrics that there are', () => {
  const known: readonly string[] = METRICS.flatMap(({ name, type }) =>
    type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  )
  const used = rules.flatMap(({ expr }) => expr.match(/\bb24_\w+/g) ?? [])
  expect(used.length).toBeGreaterThan(0)
  expect(used.filter((name) => !known.includes(name))).toEqual([])
})

it('alerts by labels that the metrics have, with values of the list', () => {
  for (const { alert, expr } of rules) {
    for (const [, name = '', matchers = ''] of expr.matchAll(/\b(b24_\w+?)(?:_bucket)?\{([^}]*)\}/g)) {
      const labels: Readonly<Record<string, string>> =
        METRICS.map((spec): { name: string; labels?: Record<string, string> } => spec).find(
          (spec) => spec.name === name,
        )?.labels ?? {}
      for (const [, label = '', operator, value = ''] of matchers.matchAll(/(\w+)(=~|!=|=)"([^"]*)"/g)) {
        if (label === 'le' || label === 'status') continue
        expect(labels[label], `${alert}: ${name} has no label ${label}`).toBeDefined()
        for (const one of operator === '=~' ? value.split('|') : [value])
          expect(labels[label], `${alert}: ${label}`).toContain(`\`${one}\``)
      }
    }
  }
})

it('says of every alert what happened, how bad it is, and where to read on', () => {
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
  for (const { alert, labels, annotations } of rules) {
    expect(labels.severity, alert).toMatch(/^(?:critical|warning|info)$/)
    expect(annotations.summary, alert).toMatch(/^.{10,}\.$/)
    expect(annotations.description, alert).toMatch(/.{20,}/)
    expect(annotations.runbook).toBe(`docs/runbook.md#${alert.toLowerCase()}`)
  }
})

it('has a section of the runbook for every alert: what it means, how to look, what to do', () => {
  const sections = readFileSync(file('docs/runbook.md'), 'utf8').split(/^## /m).slice(1)
  const names = sections.map((section) => section.slice(0, section.indexOf('\n')))
  expect(names.filter((name) => name.startsWith('B24'))).toEqual(rules.map(({ alert }) => alert))
  for (const { alert, labels } of rules) {
    const section = sections[names.indexOf(alert)] ?? ''
    expect(section, alert).toContain(`*${labels.severity}*`)
    for (const part of ['**Means.** ', '**Look.** ', '**Do.** ']) expect(section, alert).toContain(part)
  }
})

it('names metrics in the runbook that there are', () => {
  const used = readFileSync(file('docs/runbook.md'), 'utf8').match(/\bb24_\w+/g) ?? []
  const known: readonly string[] = METRICS.map(({ name }) => name)
  expect(used.filter((name) => !known.includes(name))).toEqual([])
})

it('knows for every alert what sets it off', () => {
  expect(Object.keys(SET_OFF).sort()).toEqual(rules.map(({ alert }) => alert).sort())
})

it.skipIf(promtoolNote !== '')(
  `is set off by each of these, and by nothing that is usual${promtoolNote}`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'b24-alerts-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const tests = [...rules.map(setOff), calm()]
    const path = join(folder, 'alerts.test.yaml')
    writeFileSync(path, stringify({ rule_files: [fileURLToPath(RULES)], evaluation_interval: '5m', tests }))
    const { status, stdout, stderr } = spawnSync(promtool, ['test', 'rules', path], { encoding: 'utf8' })
    expect(`${stdout}${stderr}`).toContain('SUCCESS')
    expect(status).toBe(0)
  },
  60_000,
)

function setOff({ alert, labels, annotations }: Rule): unknown {
  const series = SET_OFF[alert] ?? []
  const instance = /^(?:B24EventLoopBusy|B24CommandsStuck|B24Broker\w+)$/.test(alert) ? { instance: 'a' } : {}
  return {
    interval: '1m',
    input_series: series.map(running),
    alert_rule_test: [
      {
        alertname: alert,
        eval_time: timeOf(alert),
        exp_alerts: [{ exp_labels: { ...labels, ...instance }, exp_annotations: annotations }],
      },
    ],
  }
}

/** After all that an alert waits for. */
function timeOf(alert: string): string {
  return rules.find((rule) => rule.alert === alert)?.for === '1d' ? '26h' : '3h'
}

function calm(): unknown {
  return {
    interval: '1m',
    input_series: CALM.map(running),
    alert_rule_test: rules.map(({ alert }) => ({ alertname: alert, eval_time: '3h', exp_alerts: [] })),
  }
}

function running(text: string): { series: string; values: string } {
  const at = text.lastIndexOf(' ')
  const value = text.slice(at + 1)
  const start = value.startsWith('+') ? `0${value}` : `${value}+0`
  return { series: text.slice(0, at), values: `${start}x1700` }
}
