import type { JsonObject } from '../../model/json.ts'
import { escapeHtml, hiddenFields } from '../html.ts'
import type { Installation } from './installations.ts'
import { placesOf } from './places.ts'

/**
 * What pages are told of the place that a button stands for, where they need it to make sense.
 *
 * https://apidocs.bitrix24.com/api-reference/widgets/user-field/userfieldtype-add.html
 */
const OPTIONS: Readonly<Record<string, JsonObject>> = {
  USERFIELD_TYPE: {
    MODE: 'edit',
    ENTITY_ID: 'CRM_DEAL',
    FIELD_NAME: 'UF_CRM_1',
    ENTITY_VALUE_ID: '7',
    VALUE: null,
    MULTIPLE: 'N',
    MANDATORY: 'N',
    XML_ID: null,
    ENTITY_DATA: { entityTypeId: 2, entityId: '7', module: 'crm' },
  },
  CRM_DEAL_DETAIL_TAB: { ID: '7' },
  REST_APP_URI: { deal: '7' },
}

/** A button for each place where an application has a page; nothing when it has none. */
export function placeButtons(installation: Installation): string {
  const buttons = placesOf(installation).map(({ code, handler, title }) => {
    const options = JSON.stringify(OPTIONS[code] ?? {})
    const fields = { client_id: installation.application.clientId, placement: code, handler, options }
    return `<form method="get" action="/apps/open">
${hiddenFields(fields)}
<button>${escapeHtml(code)}: ${escapeHtml(title)}</button>
</form>`
  })
  return buttons.length === 0 ? '' : `<nav aria-label="Placements">\n${buttons.join('\n')}\n</nav>`
}
