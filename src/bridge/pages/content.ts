import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Transport } from '../../client/transport.ts'
import { BridgeError, CommandError } from '../../model/errors.ts'
import type { PageContext } from './pages.ts'
import { contextJson, signContext } from './token.ts'

/** Where pages come from: files of a folder, or programs elsewhere. */
export interface ContentOptions {
  readonly folder?: string
  readonly addresses: Readonly<Record<string, string>>
  /** Signs what pages are told; pages elsewhere need it. */
  readonly secret?: string
  readonly transport: Pick<Transport, 'post'>
  readonly now: () => number
}

/** A page as it is sent, and whose scripts it may run. */
export interface Content {
  readonly html: string
  /** `file`: those with the nonce; `elsewhere`: whatever it brings along. */
  readonly from: 'file' | 'elsewhere'
}

/** How a page is filled in. */
export interface Filling {
  readonly context: PageContext | undefined
  /** For the scripts of the page. */
  readonly nonce: string
  /** Address of the portals' `BX24` library. */
  readonly bx24Script: string
}

/** Gives the page of a name; `undefined` when nobody made one. Rejects with `PAGE_UNAVAILABLE`, or `PAGE_NEEDS_PORTAL`. */
export type ContentOf = (name: string, filling: Filling) => Promise<Content | undefined>

/**
 * An address for the name goes before a file. Files are read each time, so that a new one counts at once. In a file
 * `{{nonce}}`, `{{context}}` (JSON, fit for a script element), `{{token}}` and `{{bx24}}` are filled in.
 */
export function createContent(options: ContentOptions): ContentOf {
  const { folder, addresses, secret, transport, now } = options

  async function fetchPage(address: string, context: PageContext, key: string): Promise<Content> {
    const url = new URL(address)
    const token = signContext(context, key, now())
    // Servers take headers of some 16 KB; what is larger stands in the body alone.
    const signed = token.length <= 8000 ? { 'x-b24-context': token } : {}
    const path = `${url.pathname}${url.search}`
    const headers = { accept: 'text/html', ...signed }
    const answer = await transport
      .post(url.origin, path, JSON.stringify({ token }), { headers })
      .catch((error: unknown) => {
        throw unavailable(error instanceof BridgeError ? error.code : 'no answer', error)
      })
    if (answer.status !== 200) throw unavailable(`status ${answer.status}`)
    return { html: answer.text, from: 'elsewhere' }
  }

  return async (name, { context, nonce, bx24Script }) => {
    const address = Object.hasOwn(addresses, name) ? addresses[name] : undefined
    if (address !== undefined && secret !== undefined) {
      if (context === undefined) throw needsPortal()
      return fetchPage(address, context, secret)
    }
    const text = folder === undefined ? undefined : await readPage(folder, name)
    if (text === undefined) return undefined
    const values: Readonly<Record<string, string>> = {
      nonce,
      bx24: bx24Script,
      context: scriptJson(context === undefined ? null : contextJson(context)),
      token: context === undefined || secret === undefined ? '' : signContext(context, secret, now()),
    }
    const html = text.replace(/\{\{(nonce|bx24|context|token)\}\}/g, (_, word: string) => values[word] ?? '')
    return { html, from: 'file' }
  }
}

/** The name has been looked at already: it leads into no other folder. */
async function readPage(folder: string, name: string): Promise<string | undefined> {
  try {
    return await readFile(join(folder, `${name}.html`), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw unavailable('its file cannot be read', error)
  }
}

/** JSON that cannot end the script element that it stands in. https://html.spec.whatwg.org/multipage/scripting.html#restrictions-for-contents-of-script-elements */
function scriptJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function unavailable(why: string, cause?: unknown): CommandError {
  return new CommandError('PAGE_UNAVAILABLE', `The page cannot be shown now: ${why}.`, {
    status: 502,
    hint: 'Try again; if it stays so, look at the address or file in BRIDGE_PAGES.',
    ...(cause === undefined ? {} : { cause }),
  })
}

function needsPortal(): CommandError {
  return new CommandError('PAGE_NEEDS_PORTAL', 'The portal did not say who opens the page.', {
    status: 403,
    hint: 'Open it from the portal, as a user who may use the application.',
  })
}
