import type { InstallReport } from '../bridge/installs/check.ts'
import type { ProblemBody } from './problems.ts'

/** A page with the headers that it needs; the body has no secret. */
export interface Page {
  readonly headers: Readonly<Record<string, string>>
  readonly html: string
}

/** Of every page. */
export const COMMON_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const

/**
 * The installer page in the portal's frame: loads the portal's library and reports that installing is done. Scripts run
 * by their nonce only, the library's own ones with it; only the portal may show the page in a frame, so there is no
 * `X-Frame-Options`.
 *
 * https://apidocs.bitrix24.com/settings/app-installation/installation-finish.html
 */
export function finishPage(page: {
  /** Scheme, host and port of the portal. */
  readonly origin: string
  /** Address of the `BX24` library. */
  readonly script: string
  readonly nonce: string
  readonly report: InstallReport
}): Page {
  const { origin, script, nonce, report } = page
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}' 'strict-dynamic'`,
    `connect-src ${origin}`,
    "base-uri 'none'",
    "form-action 'none'",
    `frame-ancestors 'self' ${origin}`,
  ]
  return {
    headers: { ...COMMON_HEADERS, 'content-security-policy': policy.join('; ') },
    html: htmlDocument(
      'The application is installed',
      `<p>The bridge has what it needs of this portal.</p>${list(report)}
<script nonce="${nonce}" src="${escapeHtml(script)}"></script>
<script nonce="${nonce}">BX24.init(function () { BX24.installFinish() })</script>`,
    ),
  }
}

/** What a person sees after authorizing an application. */
export function connectedPage({ domain, report }: { domain: string; report: InstallReport }): Page {
  return still(
    200,
    htmlDocument(
      `${domain} is connected`,
      `<p>The bridge can call this portal now. You can close this page.</p>${list(report)}`,
    ),
  )
}

/** What a person sees when he is turned away. */
export function refusedPage({ status, body }: { status: number; body: ProblemBody }): Page {
  const hint = body.hint === undefined ? '' : `<p>${escapeHtml(body.hint)}</p>`
  const code = `<p><code>${escapeHtml(body.error)}</code></p>`
  return still(
    status,
    htmlDocument('This did not work', `<p>${escapeHtml(body.error_description)}</p>${hint}${code}`),
  )
}

/** A page without scripts. A refusal has to be readable in the frame of whatever portal it was opened by. */
function still(status: number, html: string): Page {
  const ancestors = status === 200 ? "'none'" : '*'
  const policy = `default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors ${ancestors}`
  return { headers: { ...COMMON_HEADERS, 'content-security-policy': policy }, html }
}

function list({ missing }: InstallReport): string {
  if (missing.length === 0) return ''
  return `<p>Still missing:</p><ul>${missing.map((line) => `<li>${escapeHtml(line)}</li>`).join('')}</ul>`
}

/** A whole page. */
export function htmlDocument(title: string, content: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title></head>
<body><h1>${escapeHtml(title)}</h1>
${content}
</body></html>
`
}

/** Text as it stands in a page or an attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
