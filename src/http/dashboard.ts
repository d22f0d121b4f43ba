import { METRIC_GROUPS, METRICS, type MetricSpec } from './metric-list.ts'

type Json = Record<string, unknown>

const SOURCE = { type: 'prometheus', uid: '$datasource' }
const WIDTH = 24
const COLUMNS = 3
const HEIGHT = 8
/** Chosen above all panels; `All` is every process. */
const FILTER = '{job=~"$job",instance=~"$instance"}'

/**
 * The dashboard `ops/grafana/dashboard.json`, made from the list of metrics: a row for each group, a panel for each
 * metric. https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
 */
export function grafanaDashboard(): Json {
  const panels: Json[] = []
  let y = 0
  for (const group of METRIC_GROUPS) {
    const specs: readonly MetricSpec[] = METRICS.filter((spec) => spec.group === group)
    const id = (): number => panels.length + 1
    panels.push({
      id: id(),
      type: 'row',
      title: group,
      collapsed: false,
      gridPos: { x: 0, y, w: WIDTH, h: 1 },
      panels: [],
    })
    y += 1
    specs.forEach((spec, index) => {
      const w = WIDTH / COLUMNS
      const gridPos = {
        x: (index % COLUMNS) * w,
        y: y + Math.floor(index / COLUMNS) * HEIGHT,
        w,
        h: HEIGHT,
      }
      panels.push({ id: id(), gridPos, ...panel(spec) })
    })
    y += Math.ceil(specs.length / COLUMNS) * HEIGHT
  }
  return {
    title: 'bitrix24-bridge',
    uid: 'bitrix24-bridge',
    description: 'Made from the list of metrics by `npm run docs`; docs/metrics.md says what each counts.',
    tags: ['bitrix24-bridge'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    templating: { list: variables() },
    panels,
  }
}

function panel(spec: MetricSpec): Json {
  return {
    type: 'timeseries',
    title: titleOf(spec),
    description: spec.alert === undefined ? spec.help : `${spec.help} Look at it when: ${spec.alert}.`,
    datasource: SOURCE,
    fieldConfig: { defaults: { unit: unitOf(spec), min: 0 }, overrides: [] },
    options: {
      legend: { displayMode: 'list', placement: 'bottom' },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
    targets: queriesOf(spec).map(({ expr, legend }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: SOURCE,
      expr,
      legendFormat: legend,
    })),
  }
}

interface Query {
  readonly expr: string
  readonly legend: string
}

function queriesOf(spec: MetricSpec): readonly Query[] {
  const { name, type, across = 'sum' } = spec
  const labels = Object.keys(spec.labels ?? {})
  const by = labels.length === 0 ? '' : ` by (${labels.join(', ')})`
  const legend = labels.length === 0 ? name : labels.map((label) => `{{${label}}}`).join(' ')
  switch (type) {
    case 'counter':
      return [{ expr: `sum${by} (rate(${name}${FILTER}[$__rate_interval]))`, legend }]
    case 'gauge':
      return [{ expr: `${across}${by} (${name}${FILTER})`, legend }]
    case 'histogram':
      return [0.5, 0.95, 0.99].map((share) => ({
        expr: `histogram_quantile(${share}, sum by (le) (rate(${name}_bucket${FILTER}[$__rate_interval])))`,
        legend: `${share * 100} %`,
      }))
  }
}

/** `b24_http_requests_total` is "Http requests, a second". */
function titleOf({ name, type }: MetricSpec): string {
  const words = name
    .replace(/^b24_/, '')
    .replace(/_(?:total|seconds)$/, '')
    .replaceAll('_', ' ')
  const title = `${words.charAt(0).toUpperCase()}${words.slice(1)}`
  return type === 'counter' ? `${title}, a second` : title
}

function unitOf({ name, type }: MetricSpec): string {
  if (type === 'counter') return 'cps'
  if (name.endsWith('_seconds')) return 's'
  return name.includes('_ratio') ? 'percentunit' : 'short'
}

function variables(): Json[] {
  const choice = (name: string, query: string): Json => ({
    name,
    type: 'query',
    datasource: SOURCE,
    query: { query, refId: name },
    refresh: 2,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { text: 'All', value: '$__all' },
  })
  return [
    { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
    choice('job', 'label_values(b24_amqp_connected, job)'),
    choice('instance', 'label_values(b24_amqp_connected{job=~"$job"}, instance)'),
  ]
}
