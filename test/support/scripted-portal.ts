import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { parseQuery, phpToJson } from '../../src/sandbox/php.ts'

/** One request as the portal received it. */
export interface PortalRequest {
  /** What stands behind the webhook's address: the method. */
  readonly method: string
  readonly path: string
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests reach into any body
  readonly body: any
  /** Commands of a batch, in order, taken apart as PHP does. */
  readonly commands: readonly { readonly key: string; readonly method: string; readonly params: unknown }[]
}

/** What to answer; a text is a body with status 200. `undefined` leaves the caller waiting. */
export type PortalAnswer =
  | string
  | { readonly status?: number; readonly text?: string; readonly headers?: Record<string, string> }
  | 'reset'
  | undefined

export interface ScriptedPortal {
  readonly url: string
  readonly webhook: string
  readonly requests: PortalRequest[]
}

/** A portal that says exactly what a test wants, byte for byte; for answers that the sandbox would never give. */
export async function scriptedPortal(
  answer: (request: PortalRequest, index: number) => PortalAnswer | Promise<PortalAnswer>,
): Promise<ScriptedPortal> {
  const requests: PortalRequest[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', async () => {
      const read = readRequest(request.url ?? '', Buffer.concat(chunks).toString())
      requests.push(read)
      const said = await answer(read, requests.length - 1)
      if (said === undefined) return
      if (said === 'reset') {
        request.socket.resetAndDestroy()
        return
      }
      const { status = 200, text = '', headers = {} } = typeof said === 'string' ? { text: said } : said
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(text)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, webhook: `${url}/rest/1/s3cr3t/`, requests }
}

function readRequest(path: string, text: string): PortalRequest {
  const body = JSON.parse(text) as { cmd?: Record<string, string> }
  const commands = Object.entries(body.cmd ?? {}).map(([key, line]) => {
    const mark = line.indexOf('?')
    const method = mark < 0 ? line : line.slice(0, mark)
    return { key, method, params: phpToJson(parseQuery(mark < 0 ? '' : line.slice(mark + 1))) }
  })
  return { method: path.slice(path.lastIndexOf('/') + 1), path, text, body, commands }
}

/** The answer to a batch: for each command the JSON text that `each` gives, as its result. */
export function batchText(
  request: PortalRequest,
  each: (command: PortalRequest['commands'][number]) => string,
): string {
  const results = request.commands.map((command) => `${JSON.stringify(command.key)}:${each(command)}`)
  return `{"result":{"result":{${results.join(',')}},"result_error":[],"result_total":[],"result_next":[],"result_time":[]},"time":{}}`
}
