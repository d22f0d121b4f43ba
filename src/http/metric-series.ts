import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { type MetricName, metricSpec } from './metric-list.ts'

const MOST_LABELS = 50

/** Codes as labels: a portal may send any text as one, so odd ones and those past the fiftieth are `other`. */
export function boundedLabel(): (code: string) => string {
  const known = new Set<string>()
  return (code) => {
    if (known.has(code)) return code
    if (known.size >= MOST_LABELS || !/^\w{1,60}$/.test(code)) return 'other'
    known.add(code)
    return code
  }
}

/** The series of one or two labels, each looked up by its labels only once. */
export function children<Child>(
  metric: { labels(...values: string[]): Child },
  depth: 1 | 2,
): (first: string, second?: string) => Child {
  const known = new Map<string, Map<string, Child>>()
  return (first, second = '') => {
    let inner = known.get(first)
    if (inner === undefined) {
      inner = new Map()
      known.set(first, inner)
    }
    let child = inner.get(second)
    if (child === undefined) {
      child = depth === 1 ? metric.labels(first) : metric.labels(first, second)
      inner.set(second, child)
    }
    return child
  }
}

/** A counter whose total somebody else keeps. */
export function totals(metric: Counter, labels: Record<string, string>): (total: number) => void {
  let before = 0
  metric.inc(labels, 0)
  return (total) => {
    if (total > before) metric.inc(labels, total - before)
    before = total
  }
}

function base(registry: Registry, name: MetricName) {
  const { help, labels } = metricSpec(name)
  return { name, help, labelNames: Object.keys(labels ?? {}), registers: [registry] }
}

/** A counter of the list. */
export function counter(registry: Registry, name: MetricName): Counter {
  return new Counter(base(registry, name))
}

/** A gauge of the list. */
export function gauge(registry: Registry, name: MetricName): Gauge {
  return new Gauge(base(registry, name))
}

/** A histogram of the list, with its buckets. */
export function histogram(registry: Registry, name: MetricName): Histogram {
  return new Histogram({ ...base(registry, name), buckets: [...(metricSpec(name).buckets ?? [])] })
}
