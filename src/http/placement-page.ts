import type { Content } from '../bridge/pages/content.ts'
import type { PageContext } from '../bridge/pages/pages.ts'
import { contextJson } from '../bridge/pages/token.ts'
import { COMMON_HEADERS, escapeHtml, htmlDocument, type Page } from './install-page.ts'

interface Showing {
  readonly context: PageContext | undefined
  readonly nonce: string
  /** Address of the `BX24` library. */
  readonly bx24Script: string
}

/**
 * A page made by somebody, with the headers for a frame of the portal: nobody but that portal may show what is told of
 * its user. Without a context there is nothing to protect, and no portal is known that could be named.
 *
 * https://apidocs.bitrix24.com/local-integrations/site-does-not-allow-connection.html
 */
export function contentPage({ html, from }: Content, { context, nonce }: Showing): Page {
  const policy =
    from === 'elsewhere'
      ? ["object-src 'none'"]
      : [
          "default-src 'none'",
          `script-src 'nonce-${nonce}' 'strict-dynamic'`,
          "style-src 'unsafe-inline' https:",
          'img-src https: data:',
          'font-src https: data:',
          `connect-src https: ${context?.origin ?? ''}`.trim(),
          'form-action https:',
          "base-uri 'none'",
        ]
  return { headers: headersOf([...policy, ancestorsOf(context)]), html }
}

/** The page of a name for which nobody made one: who opened what, for whoever is about to make it. */
export function builtInPage({ context, nonce, bx24Script }: Showing): Page {
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}' 'strict-dynamic'`,
    `style-src 'nonce-${nonce}'`,
    ...(context === undefined ? [] : [`connect-src ${context.origin}`]),
    "base-uri 'none'",
    "form-action 'none'",
    ancestorsOf(context),
  ]
  const content =
    context === undefined
      ? '<p>The portal did not say who opens this page.</p>'
      : `${table(context)}
<script nonce="${nonce}" src="${escapeHtml(bx24Script)}"></script>
<script nonce="${nonce}">BX24.init(function () {
  document.body.dataset.ready = 'yes'
  BX24.fitWindow()
})</script>`
  const style = `<style nonce="${nonce}">body{font:14px sans-serif;margin:16px}td{padding:2px 12px 2px 0;vertical-align:top}</style>`
  return { headers: headersOf(policy), html: htmlDocument('A page of the bridge', `${style}\n${content}`) }
}

function table(context: PageContext): string {
  const rows = Object.entries(contextJson(context)).map(([name, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    return `<tr><td>${escapeHtml(name)}</td><td><code id="${escapeHtml(name)}">${escapeHtml(text)}</code></td></tr>`
  })
  return `<table>${rows.join('')}</table>`
}

function ancestorsOf(context: PageContext | undefined): string {
  return `frame-ancestors ${context === undefined ? '*' : `'self' ${context.origin}`}`
}

function headersOf(policy: readonly string[]): Page['headers'] {
  return { ...COMMON_HEADERS, 'content-security-policy': policy.join('; ') }
}
