import type { Authorization } from '../../model/credential.ts'
import type { HttpAnswer, Transport } from '../transport.ts'
import { encodeRequest, type LaneRequest } from './exchange.ts'
import { movedAgain, movedOrigin } from './renamed.ts'
import { tracedPost } from './traced-post.ts'

/** What posting needs of the lane. */
export interface PostOptions {
  readonly transport: Transport
  /** Where the portal is at the beginning. */
  readonly origin: string
  /** The portal has a new address. */
  readonly onRenamed?: (origin: string) => void
  /** One request more goes out than was planned; the portal counts it. */
  readonly onRepeat: () => void
}

/**
 * Posts requests in the name of their credentials, at the portal's address of today. Two refusals are mended on the
 * spot, once each, because nothing of the request ran: the authorization has expired; the portal has moved.
 *
 * Rejects with the `TransportError` of the transport, or with what `Credential.authorize` and `renew` reject with.
 */
export function createPost(options: PostOptions): (request: LaneRequest) => Promise<HttpAnswer> {
  const { transport, onRenamed, onRepeat } = options
  let origin = options.origin

  /** https://apidocs.bitrix24.com/settings/how-to-call-rest-api/change-domen.html */
  async function postAs(request: LaneRequest, authorization: Authorization): Promise<HttpAnswer> {
    const { path, body, idempotencyKey } = encodeRequest(request, authorization)
    const more = idempotencyKey === undefined ? {} : { idempotencyKey }
    const from = origin
    const answer = await transport.post(from, path, body, more)
    if (!isRedirect(answer)) return answer
    const to = movedOrigin(from, answer.location)
    // Of the requests that were under way together the first tells the news.
    if (to !== origin) {
      origin = to
      onRenamed?.(to)
    }
    onRepeat()
    const second = await transport.post(to, path, body, more)
    if (isRedirect(second)) throw movedAgain(to)
    return second
  }

  return tracedPost(async (request) => {
    const { credential } = request
    const authorization = await credential.authorize()
    const answer = await postAs(request, authorization)
    if (credential.renew === undefined || !saysExpired(answer)) return answer
    if (!(await credential.renew(authorization))) return answer
    const renewed = await credential.authorize()
    onRepeat()
    return postAs(request, renewed)
  })
}

/**
 * Access tokens live an hour; REST v3 has no code of its own for one that has run out.
 *
 * https://apidocs.bitrix24.com/settings/oauth/auto-renewal.html
 */
function saysExpired({ status, text }: HttpAnswer): boolean {
  return status === 401 && EXPIRED.test(text.slice(0, 500))
}

const EXPIRED = /"(?:expired_token|invalid_token|BITRIX_REST_V3_EXCEPTION_ACCESSDENIEDEXCEPTION)"/i

function isRedirect({ status }: HttpAnswer): boolean {
  return status >= 300 && status < 400
}
