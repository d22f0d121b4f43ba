// A portal to try the other examples on: a sandbox with an application that calls the bridge on this machine.
// As soon as a bridge is there, the application is installed, and the bridge binds what examples/subscriptions.yaml says.
import { setTimeout as sleep } from 'node:timers/promises'
import { createSandbox } from 'bitrix24-bridge/sandbox'

const bridge = process.env.EXAMPLE_BRIDGE ?? 'http://127.0.0.1:8000'
const port = Number(process.env.EXAMPLE_PORT ?? 9000)
const clientId = 'local.examples'

const sandbox = await createSandbox({ port, deals: 1000 })
// The secret is made up; the bridge knows it by `b24-bridge apps add`.
sandbox.addApplication({
  clientId,
  clientSecret: 'made-up-secret',
  eventUrl: `${bridge}/b24/app-events`,
  url: `${bridge}/b24/app`,
})
console.log(`The portal is at ${sandbox.url}. It waits for a bridge at ${bridge}; Ctrl+C ends it.`)

const isReady = () =>
  fetch(`${bridge}/health/ready`).then(
    ({ ok }) => ok,
    () => false,
  )
while (!(await isReady())) await sleep(300)

// What an administrator does on a real portal with a click. The portal tells the bridge by ONAPPINSTALL.
const { deliveries } = await sandbox.app({ do: 'install', clientId })
const refused = deliveries.find(({ status }) => status !== 200)
if (refused !== undefined) {
  console.error(
    `The bridge did not take the installation: ${refused.status ?? refused.error}. Its log says why.`,
  )
  process.exit(1)
}

const registered = () => {
  const {
    senders = [],
    robots = [],
    placements = [],
    fieldTypes = [],
  } = sandbox.work().registered[clientId] ?? {}
  return [
    ...[...senders, ...robots, ...sandbox.work().bots].map(({ code }) => code),
    ...placements.map(({ placement }) => placement),
    ...fieldTypes.map(({ id }) => id),
  ].sort()
}
while (registered().length < 6) await sleep(100)
console.log(`Installed. The bridge has registered: ${registered().join(', ')}.`)
console.log(`Buttons for each: ${sandbox.url}/apps/desk?client_id=${clientId}`)
