import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import type { FrameSession } from './frame.ts'

/** What a page of a user field handed back. */
export interface FieldValue {
  readonly clientId: string
  /** `CRM_DEAL` */
  readonly entity: string
  /** Id of the deal. */
  readonly id: string
  /** `UF_CRM_1` */
  readonly field: string
  readonly value: Json
}

/**
 * The values that pages of user fields have handed back with `BX24.placement.call('setValue', value)`. A real portal keeps
 * one until the form around it is saved or left; here it stays.
 *
 * https://apidocs.bitrix24.com/api-reference/widgets/user-field/index.html
 */
export class FieldValues {
  readonly #byField = new Map<string, FieldValue>()

  /** A later value of the same field takes the place of the earlier one. Shown without being edited a field takes none. */
  take({ installation, placement }: FrameSession, value: Json): void {
    const told = optionsOf(placement.options)
    if (told.MODE !== 'edit') return
    const [entity, id, field] = [told.ENTITY_ID, told.ENTITY_VALUE_ID, told.FIELD_NAME].map((word) =>
      String(word ?? ''),
    ) as [string, string, string]
    const { clientId } = installation.application
    this.#byField.set([clientId, entity, id, field].join(' '), { clientId, entity, id, field, value })
  }

  list(): FieldValue[] {
    return [...this.#byField.values()]
  }
}

function optionsOf(text: string): JsonObject {
  try {
    const options: unknown = JSON.parse(text)
    return isJsonObject(options) ? options : {}
  } catch {
    return {}
  }
}
