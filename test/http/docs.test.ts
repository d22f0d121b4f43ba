import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { metricsPage } from '../../src/http/metrics-page.ts'
import { openApi } from '../../src/http/openapi.ts'
import { REFUSALS } from '../../src/http/problems.ts'
import { running, TOKEN } from './running.ts'

const run = promisify(execFile)
const page = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

it('keeps docs/metrics.md as the list of metrics says; otherwise run `npm run build && node scripts/docs-http.mjs`', () => {
  expect(page('metrics.md')).toBe(metricsPage())
})

it('keeps docs/reference/openapi.json as the code says; otherwise run `npm run build && node scripts/docs-http.mjs`', () => {
  expect(page('reference/openapi.json')).toBe(`${JSON.stringify(openApi(), null, 2)}\n`)
})

it('names every refusal on the page, beside its status', () => {
  const rows = page('http.md').split('\n')
  for (const [code, { status }] of Object.entries(REFUSALS)) {
    const row = rows.find((line) => line.startsWith(`| ${status} |`))
    expect(row, `status ${status}`).toContain(`\`${code}\``)
  }
})

it('has examples that work as they are written', async () => {
  const server = await running()
  const blocks = [...page('http.md').matchAll(/```sh\n(.*?)```(?:\n\n```json\n(.*?)```)?/gs)]
  expect(blocks.length).toBeGreaterThan(4)
  for (const [, command, expected] of blocks) {
    const here = (command as string).replaceAll('127.0.0.1:8000', `127.0.0.1:${server.port}`)
    const { stdout } = await run('bash', ['-ec', here], {
      env: { ...process.env, BRIDGE_ADMIN_TOKEN: TOKEN },
    })
    const answer: unknown = JSON.parse(stdout)
    if (expected !== undefined) expect(answer).toEqual(JSON.parse(expected))
  }
})
