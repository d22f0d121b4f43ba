import { escapeHtml, hiddenFields } from '../html.ts'
import type { Installation } from './installations.ts'
import { placesOf } from './places.ts'

/** A button for each place where an application has a page; nothing when it has none. */
export function placeButtons(installation: Installation): string {
  const buttons = placesOf(installation).map(({ code, handler, title }) => {
    const fields = { client_id: installation.application.clientId, placement: code, handler, options: '{}' }
    return `<form method="get" action="/apps/open">
${hiddenFields(fields)}
<button>${escapeHtml(code)}: ${escapeHtml(title)}</button>
</form>`
  })
  return buttons.length === 0 ? '' : `<nav aria-label="Placements">\n${buttons.join('\n')}\n</nav>`
}
