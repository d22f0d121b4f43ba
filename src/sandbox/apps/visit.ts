import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { FrameForm } from './frame.ts'

const PATIENCE_MS = 10_000

/** What a browser makes of an application's page. */
export interface Visit {
  /** Missing when no answer came. */
  readonly status?: number
  readonly contentType: string
  /** True when the browser shows the page inside the portal. */
  readonly framed: boolean
  /** Why not, or what is unwise. */
  readonly problem?: string
}

/** What of an answer decides. */
interface PageAnswer {
  readonly status: number
  readonly contentType: string
  /** `X-Frame-Options` */
  readonly frameOptions: string
  /** `Content-Security-Policy` */
  readonly policy: string
}

/** Posts the form of a frame as the user's browser does, follows nothing, and tells what the browser makes of it. */
export async function visit(form: FrameForm, portalUrl: string): Promise<Visit> {
  try {
    const answer = await post(form, portalUrl)
    const { status, contentType } = answer
    return { status, contentType, ...judge(answer, portalUrl, new URL(form.action).origin) }
  } catch (error) {
    return { contentType: '', framed: false, problem: error instanceof Error ? error.message : String(error) }
  }
}

/**
 * Whether a browser shows a page inside the portal. `frame-ancestors` overrules `X-Frame-Options`.
 *
 * https://apidocs.bitrix24.com/local-integrations/site-does-not-allow-connection.html
 */
function judge(
  { status, contentType, frameOptions, policy }: PageAnswer,
  portalUrl: string,
  own: string,
): Pick<Visit, 'framed' | 'problem'> {
  if (!/^text\/html\b/i.test(contentType)) return { framed: false, problem: 'the answer is no web page' }
  const ancestors = /(?:^|;)\s*frame-ancestors\s+([^;]*)/i.exec(policy)?.[1]
  if (ancestors !== undefined) {
    return ancestors.split(/\s+/).some((source) => allows(source, portalUrl, own))
      ? shown(status)
      : { framed: false, problem: `frame-ancestors does not name the portal: ${ancestors.trim()}` }
  }
  const refused = /^deny$/i.test(frameOptions) || (/^sameorigin$/i.test(frameOptions) && own !== portalUrl)
  if (refused) return { framed: false, problem: `X-Frame-Options is ${frameOptions}` }
  return status === 200
    ? { framed: true, problem: 'without frame-ancestors any site may show this page' }
    : shown(status)
}

function shown(status: number): Pick<Visit, 'framed' | 'problem'> {
  return status === 200 ? { framed: true } : { framed: true, problem: `the page answers ${status}` }
}

function allows(source: string, portalUrl: string, own: string): boolean {
  const portal = new URL(portalUrl)
  if (source === '*') return true
  if (source === "'self'") return own === portal.origin
  const [, scheme, host = '', port] = /^(?:(https?):\/\/)?([^/:]+)(?::(\d+|\*))?\/?$/i.exec(source) ?? []
  if (host === '') return source.toLowerCase() === portal.protocol
  const isHost = host.startsWith('*.') ? portal.hostname.endsWith(host.slice(1)) : portal.hostname === host
  return isHost && (scheme === undefined || `${scheme}:` === portal.protocol) && isPort(port, portal)
}

/** Without a port the usual one of the protocol is meant. */
function isPort(port: string | undefined, portal: URL): boolean {
  return port === '*' || (port ?? '') === portal.port
}

function post({ action, fields }: FrameForm, portalUrl: string): Promise<PageAnswer> {
  const body = new URLSearchParams(fields).toString()
  const headers = {
    'Content-Type': 'application/x-www-form-urlencoded',
    'Content-Length': Buffer.byteLength(body),
    'User-Agent': 'Mozilla/5.0 (sandbox)',
    Accept: 'text/html',
    Origin: portalUrl,
    Referer: `${portalUrl}/`,
  }
  const send = action.startsWith('https:') ? requestHttps : requestHttp
  const signal = AbortSignal.timeout(PATIENCE_MS)
  return new Promise((resolve, reject) => {
    const request = send(action, { method: 'POST', headers, signal, agent: false }, (response) => {
      response.resume()
      resolve({
        status: response.statusCode ?? 0,
        contentType: response.headers['content-type'] ?? '',
        frameOptions: String(response.headers['x-frame-options'] ?? ''),
        policy: String(response.headers['content-security-policy'] ?? ''),
      })
    })
    request.once('error', reject)
    request.end(body)
  })
}
