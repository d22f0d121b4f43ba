import { createHash } from 'node:crypto'
import type { Credential } from '../model/credential.ts'
import { isJsonObject } from '../model/json.ts'
import type { LaneUse } from './lanes.ts'
import { notSent } from './tokens/reasons.ts'

/** A credential by an access token that came with an event: the event says whose it is, and nobody has proven that. */
export interface LentCredential extends Credential {
  readonly saidToBe: { readonly userId: string; readonly accessToken: string }
}

/** Whose the access tokens of events are. */
export interface LentTokens {
  /**
   * True when the portal says that the token is the user's; asked once for a token. Rejects when the portal cannot be
   * asked, or refuses the token: the call for which it was wanted has not been made.
   */
  isHis(use: LaneUse, said: LentCredential['saidToBe']): Promise<boolean>
}

/** Tokens of events live an hour, so what was answered holds for good. */
const MOST_REMEMBERED = 10_000
const ASK_MS = 30_000

/**
 * Asks the portal who a token is, before anything is done in a name. The application token that proves an event is known
 * to the browser of whoever opens a page of the application, so any user could post an event with a token of his own and
 * the id of another.
 *
 * https://apidocs.bitrix24.com/api-reference/common/users/profile.html
 */
export function createLentTokens(): LentTokens {
  const asked = new Map<string, Promise<string>>()

  async function ask({ lane, credential }: LaneUse): Promise<string> {
    const calls = [{ method: 'profile', params: {} }]
    const [settled] = await lane.submit({ calls, options: { credential, source: 'as', deadlineMs: ASK_MS } })
    if (settled?.error !== undefined) throw notSent(settled.error)
    const profile = settled?.answer?.body.result
    return isJsonObject(profile) ? String(profile.ID ?? '') : ''
  }

  return {
    async isHis(use, { userId, accessToken }) {
      const name = createHash('sha256')
        .update(JSON.stringify([use.domain, accessToken]))
        .digest('base64')
      let owner = asked.get(name)
      if (owner === undefined) {
        owner = ask(use)
        asked.set(name, owner)
        owner.catch(() => asked.delete(name))
        if (asked.size > MOST_REMEMBERED) asked.delete(asked.keys().next().value as string)
      }
      return (await owner) === userId
    },
  }
}
