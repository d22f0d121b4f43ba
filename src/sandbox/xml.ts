import type { Json } from '../model/json.ts'

/**
 * An answer as XML: root `<response>`, members as elements, list entries as `<item>`, true as 1, false and null
 * empty. https://apidocs.bitrix24.com/settings/how-to-call-rest-api/general-principles.html
 */
export function toXml(value: Json): string {
  return `<?xml version="1.0" encoding="utf-8"?>\n<response>${content(value)}</response>`
}

function content(value: Json): string {
  if (value === null || value === false) return ''
  if (value === true) return '1'
  if (typeof value !== 'object') return escapeText(String(value))
  if (Array.isArray(value)) return value.map((item: Json) => element('item', item)).join('')
  return Object.entries(value)
    .map(([name, item]) => element(/^\d/.test(name) ? 'item' : name, item))
    .join('')
}

function element(name: string, value: Json): string {
  return `<${name}>${content(value)}</${name}>`
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
