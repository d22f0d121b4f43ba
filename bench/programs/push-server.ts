// A sandbox whose push server takes any number of listeners. Prints its address and a token, and runs until it is ended.
import { pathToFileURL } from 'node:url'

const [root, connections] = process.argv.slice(2) as [string, string]

const { createSandbox } = (await import(pathToFileURL(`${root}/dist/sandbox/index.js`).href)) as {
  createSandbox: (options: unknown) => Promise<{ readonly url: string; readonly accessToken: string }>
}
const { url, accessToken } = await createSandbox({
  limits: 'off',
  switches: { pushConnections: Number(connections) },
})
console.log(JSON.stringify({ url, accessToken }))
