import { BridgeError } from '../../model/errors.ts'
import { beginSpan, isTracing, type TracePoint, under } from '../../util/tracing.ts'
import type { HttpAnswer } from '../transport.ts'
import type { LaneRequest } from './exchange.ts'

/**
 * Posts that are spans: each request to the portal links to all whose calls it carries, and stands below the caller
 * when there is only one. It tells methods and the host, never an address with its secret, and no parameters. Without
 * an SDK the posts stay as they are.
 */
export function tracedPost(
  post: (request: LaneRequest) => Promise<HttpAnswer>,
): (request: LaneRequest) => Promise<HttpAnswer> {
  return async (request) => {
    if (!isTracing()) return post(request)
    const { items, calls, batch, credential } = request
    const links = items.flatMap(({ tracedAt }): TracePoint[] => (tracedAt === undefined ? [] : [tracedAt]))
    const span = beginSpan({
      name: 'POST',
      role: 'client',
      parent: items.length === 1 && links[0] !== undefined ? links[0] : 'none',
      links,
      facts: {
        'http.request.method': 'POST',
        'server.address': new URL(credential.origin).hostname,
        'b24.methods': [...new Set(calls.map(({ call }) => call.method))].slice(0, MOST_METHODS),
        'b24.batch': batch,
        'b24.calls': calls.length,
      },
    })
    if (span === undefined) return post(request)
    try {
      const answer = await under(span.point, () => post(request))
      span.add({ 'http.response.status_code': answer.status })
      span.end(answer.status >= 400 ? String(answer.status) : undefined)
      return answer
    } catch (error) {
      span.end(error instanceof BridgeError ? error.code : 'INTERNAL_ERROR')
      throw error
    }
  }
}

const MOST_METHODS = 10
