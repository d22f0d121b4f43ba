// What `npm test` runs: prepares the engines, runs vitest with the arguments given, and ends with one line of numbers.
import { findRabbitmq } from './rabbitmq.mjs'
import { runVitest } from './run-vitest.mjs'

const rabbitmq = await findRabbitmq({ log: (line) => console.log(`rabbitmq: ${line}`) })
const env = 'url' in rabbitmq ? { ...process.env, TEST_AMQP_URL: rabbitmq.url } : process.env

const reporters = ['--reporter=default', '--reporter=./scripts/late-files.mjs']
// Half an hour is more than three times what the tests take on two cores.
const limits = { env, timeoutMs: 1_800_000 }
const { code, passed, failed } = runVitest([...reporters, ...process.argv.slice(2)], limits)
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = code
