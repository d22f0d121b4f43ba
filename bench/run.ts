import { parseArgs } from 'node:util'
import type { Bench } from './lib/bench.ts'
import { keeps } from './lib/bench.ts'
import { openFolder } from './lib/folder.ts'
import { line, machine, type Result, table } from './lib/report.ts'
import { exportBench } from './suites/export.ts'
import { intakeBench } from './suites/intake.ts'
import { latencyBench } from './suites/latency.ts'
import { limitsBench } from './suites/limits.ts'
import { offlineBench } from './suites/offline.ts'
import { overheadBench } from './suites/overhead.ts'
import { portalsBench } from './suites/portals.ts'
import { pushBench } from './suites/push.ts'

const BENCHES: readonly Bench[] = [
  limitsBench,
  overheadBench,
  exportBench,
  latencyBench,
  portalsBench,
  pushBench,
  intakeBench,
  offlineBench,
]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
})
const chosen = positionals.length === 0 ? BENCHES : BENCHES.filter(({ name }) => positionals.includes(name))
if (chosen.length === 0) {
  process.stderr.write(`There is no such bench; one of ${BENCHES.map(({ name }) => name).join(', ')}.\n`)
  process.exit(2)
}

const results: Result[] = []
const say = (text: string): void => void process.stderr.write(`${text}\n`)
let broken = false
say(machine())
for (const bench of chosen) {
  say(`\n${bench.name}: ${bench.about}`)
  await using folder = await openFolder()
  try {
    await bench.run({
      quick: values.quick,
      amqpUrl: process.env.TEST_AMQP_URL ?? 'amqp://guest:guest@127.0.0.1:5672',
      folder,
      say,
      figure(figure) {
        const result = { bench: bench.name, ...figure }
        results.push(result)
        say(line(result))
      },
    })
  } catch (error) {
    broken = true
    say(`FAIL ${bench.name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  }
}
const passed = !broken && results.every(keeps)
if (values.json)
  console.log(JSON.stringify({ machine: machine(), quick: values.quick, passed, figures: results }))
else console.log(`\n${table(results)}`)
process.exit(passed ? 0 : 1)
