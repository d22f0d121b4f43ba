import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import { parseForm } from '../events/forms.ts'

/** The form that opens a page, as far as it says anything. Nothing of it is proven. */
export interface PageForm {
  readonly memberId?: string
  readonly applicationToken?: string
  /** The user's access token is there. */
  readonly hasUser: boolean
  /** Code of the placement in upper case; `DEFAULT` for the application's own page. */
  readonly placement: string
  readonly options: JsonObject
  /** Two letters, such as `en`. */
  readonly language?: string
}

/** Levels of options at most; portals send two or three. */
const DEEPEST = 20

/**
 * Reads what a portal's page posts into the frame: some things in the address, the rest in the body. `PLACEMENT_OPTIONS`
 * is the text of a JSON object; `undefined`, an empty list and anything else that is none stand for no options. A page
 * opened by a plain GET has nothing at all. Throws `FORM_INVALID` for a form that no portal posts.
 *
 * https://apidocs.bitrix24.com/api-reference/widgets/index.html
 */
export function parsePageForm(query: string, body: string): PageForm {
  const form = { ...parseForm(query), ...parseForm(body) }
  const memberId = textOf(form.member_id, 64)
  const applicationToken = textOf(form.APPLICATION_TOKEN, 1000)
  const language = /^[a-z]{2}$/i.exec(textOf(form.LANG, 10) ?? '')?.[0]?.toLowerCase()
  const placement = textOf(form.PLACEMENT, 100)?.toUpperCase() ?? ''
  return {
    ...(memberId !== undefined && /^[\w.-]+$/.test(memberId) ? { memberId } : {}),
    ...(applicationToken === undefined ? {} : { applicationToken }),
    hasUser: textOf(form.AUTH_ID, 1000) !== undefined,
    placement: /^\w+$/.test(placement) ? placement : 'DEFAULT',
    options: optionsOf(form.PLACEMENT_OPTIONS),
    ...(language === undefined ? {} : { language }),
  }
}

function optionsOf(text: Json | undefined): JsonObject {
  if (typeof text !== 'string') return {}
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) && !isDeeperThan(DEEPEST, value) ? value : {}
  } catch {
    return {}
  }
}

/** What is nested without measure could not be written down again. */
function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((one) => isDeeperThan(levels - 1, one))
}

/** A text that is there and not beyond measure. */
function textOf(value: Json | undefined, most: number): string | undefined {
  return typeof value === 'string' && value !== '' && value.length <= most ? value : undefined
}
