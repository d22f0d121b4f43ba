import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { grafanaDashboard } from '../../src/http/dashboard.ts'
import { METRIC_GROUPS, METRICS } from '../../src/http/metric-list.ts'

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[]
}

const text = readFileSync(new URL('../../ops/grafana/dashboard.json', import.meta.url), 'utf8')
const { panels } = JSON.parse(text) as { panels: readonly Panel[] }

it('keeps ops/grafana/dashboard.json as the list of metrics says; otherwise run `npm run build && npm run docs`', () => {
  expect(text).toBe(`${JSON.stringify(grafanaDashboard(), null, 2)}\n`)
})

it('shows every metric, and none that there is not', () => {
  const shown = panels.flatMap(({ targets = [] }) =>
    targets.flatMap(({ expr }) => expr.match(/\bb24_\w+/g) ?? []),
  )
  const plain = shown.map((name) => name.replace(/_bucket$/, ''))
  expect(new Set(plain)).toEqual(new Set(METRICS.map(({ name }) => name)))
})

it('has a row for each group, and no panel over another', () => {
  expect(panels.filter(({ type }) => type === 'row').map(({ title }) => title)).toEqual(METRIC_GROUPS)
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  const places = new Set<string>()
  for (const { title, gridPos } of panels) {
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(places.has(`${x}/${y}`), title).toBe(false)
        places.add(`${x}/${y}`)
      }
    expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
  }
})
