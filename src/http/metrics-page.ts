import { METRICS, type MetricSpec } from './metric-list.ts'

/** The reference page `docs/metrics.md`, made from the list of metrics. */
export function metricsPage(): string {
  return `${[
    '# Metrics',
    '',
    '<!-- Made from src/http/metric-list.ts by scripts/docs-http.mjs; change it there. -->',
    '',
    '`GET /metrics` gives the numbers of one process in the text format of Prometheus. No token is needed, and nothing in',
    'them is secret: no portal, no method parameter, no message. Gauges are read at the moment of the scrape. When several',
    'bridges run, scrape each of them and sum over `instance`.',
    '',
    '```yaml',
    'scrape_configs:',
    '  - job_name: b24-bridge',
    '    static_configs:',
    "      - targets: ['127.0.0.1:8000']",
    '```',
    '',
    '| metric | type | what it counts | look at it when |',
    '| --- | --- | --- | --- |',
    ...METRICS.map(row),
    '',
    'Besides these there are the usual `process_*` and `nodejs_*` metrics: memory, CPU, open files, garbage collection and',
    'the lag of the event loop. `nodejs_eventloop_lag_p99_seconds` above 0.2 means that the process has more to do than one',
    'CPU can: run another one on the same queue.',
    '',
    '## Questions and their queries',
    '',
    '- Commands a second: `sum(rate(b24_commands_total[5m]))`',
    '- Commands whose end nobody knows: `sum(increase(b24_commands_total{outcome="unknown"}[1h]))`',
    '- The slowest hundredth: `histogram_quantile(0.99, sum by (le) (rate(b24_command_duration_seconds_bucket[5m])))`',
    '- Calls saved by batches: `sum(rate(b24_batch_size_sum[5m])) / sum(rate(b24_batch_size_count[5m]))` calls a request',
    '- Requests that the portals refused: `sum by (error_code) (rate(b24_http_requests_total{error_code!="none"}[5m]))`',
  ].join('\n')}\n`
}

function row(spec: MetricSpec): string {
  const labels = Object.entries(spec.labels ?? {}).map(([name, about]) => `<br>Label \`${name}\`: ${about}.`)
  return `| \`${spec.name}\` | ${spec.type} | ${spec.help}${labels.join('')} | ${spec.alert ?? ''} |`
}
