import type { FieldType } from './filter.ts'

/** A field of a CRM object under its two names: in the classic methods and in `crm.item.*`. */
export interface EntityField {
  readonly name: string
  readonly itemName: string
  readonly type: FieldType
  readonly readOnly: boolean
}

/** A kind of CRM object. */
export interface Entity {
  /** The word in method names: `crm.deal.get`. */
  readonly name: 'lead' | 'deal' | 'contact' | 'company' | 'product'
  /** `entityTypeId` of `crm.item.*`; products have none. */
  readonly typeId: number | undefined
  readonly fields: ReadonlyMap<string, EntityField>
  readonly byItemName: ReadonlyMap<string, EntityField>
}

const TYPES: Record<string, FieldType> = {
  i: 'integer',
  d: 'double',
  s: 'string',
  c: 'char',
  t: 'datetime',
  m: 'multifield',
}

/** `NAME type itemName?`; an exclamation mark behind the type: only the portal writes it. */
const COMMON = [
  'ID i! id',
  'ASSIGNED_BY_ID i',
  'CREATED_BY_ID i! createdBy',
  'MODIFY_BY_ID i! updatedBy',
  'DATE_CREATE t! createdTime',
  'DATE_MODIFY t! updatedTime',
  'OPENED c',
  'COMMENTS s',
  'ORIGINATOR_ID s',
  'ORIGIN_ID s',
  'SOURCE_ID s',
  'SOURCE_DESCRIPTION s',
  'UTM_SOURCE s',
]

const MONEY = ['OPPORTUNITY d', 'CURRENCY_ID s', 'IS_MANUAL_OPPORTUNITY c']
const PERSON = ['NAME s', 'LAST_NAME s', 'SECOND_NAME s', 'HONORIFIC s', 'POST s', 'BIRTHDATE t']
const CHANNELS = ['PHONE m', 'EMAIL m', 'WEB m', 'IM m', 'HAS_PHONE c!', 'HAS_EMAIL c!']

const LEAD = [
  'TITLE s',
  'STATUS_ID s stageId',
  'COMPANY_TITLE s',
  'CONTACT_ID i',
  'COMPANY_ID i',
  ...MONEY,
  ...PERSON,
]
const DEAL = [
  'TITLE s',
  'STAGE_ID s',
  'CATEGORY_ID i',
  'TYPE_ID s',
  'PROBABILITY i',
  'CONTACT_ID i',
  'COMPANY_ID i',
]
const DEAL_DATES = ['BEGINDATE t', 'CLOSEDATE t', 'CLOSED c', 'ADDITIONAL_INFO s', 'LEAD_ID i']
const COMPANY = [
  'TITLE s',
  'COMPANY_TYPE s typeId',
  'INDUSTRY s',
  'EMPLOYEES s',
  'REVENUE d',
  'CURRENCY_ID s',
]
const PRODUCT = [
  'ID i!',
  'NAME s',
  'CODE s',
  'ACTIVE c',
  'SORT i',
  'PRICE d',
  'CURRENCY_ID s',
  'DESCRIPTION s',
]
const PRODUCT_REST = ['SECTION_ID i', 'MEASURE i', 'VAT_ID i', 'XML_ID s', 'DATE_CREATE t!', 'TIMESTAMP_X t!']

/**
 * The CRM objects of the sandbox and their fields; besides these, any `UF_…` field can be written and read.
 *
 * https://apidocs.bitrix24.com/api-reference/crm/universal/object-fields.html
 */
export const ENTITIES = {
  lead: entity('lead', 1, [...COMMON, ...LEAD, ...CHANNELS]),
  deal: entity('deal', 2, [...COMMON, ...DEAL, ...DEAL_DATES, ...MONEY]),
  contact: entity('contact', 3, [
    ...COMMON,
    ...PERSON,
    'TYPE_ID s',
    'COMPANY_ID i',
    'LEAD_ID i',
    ...CHANNELS,
  ]),
  company: entity('company', 4, [...COMMON, ...COMPANY, 'LEAD_ID i', ...CHANNELS]),
  product: entity('product', undefined, [...PRODUCT, ...PRODUCT_REST]),
} as const

/** The kind with this `entityTypeId`, or `undefined`. */
export function entityByType(typeId: number): Entity | undefined {
  return Object.values(ENTITIES).find((entity) => entity.typeId !== undefined && entity.typeId === typeId)
}

/** The field with this classic name; user fields (`UF_…`) all exist. */
export function classicField(entity: Entity, name: string): EntityField | undefined {
  const known = entity.fields.get(name)
  if (known !== undefined || !name.startsWith('UF_')) return known
  return { name, itemName: camelName(name), type: 'string', readOnly: false }
}

/** The field with this name in `crm.item.*`; user fields (`uf…`) all exist. */
export function itemField(entity: Entity, name: string): EntityField | undefined {
  const known = entity.byItemName.get(name)
  if (known !== undefined || !/^uf[A-Z]/.test(name)) return known
  return { name: upperName(name), itemName: name, type: 'string', readOnly: false }
}

/** `ASSIGNED_BY_ID` as `assignedById`; an underscore before a digit stays: `UF_CRM_12` is `ufCrm_12`. */
export function camelName(name: string): string {
  return name.toLowerCase().replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

function upperName(name: string): string {
  return name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase()
}

function entity(name: Entity['name'], typeId: number | undefined, specs: readonly string[]): Entity {
  const fields = specs.map((spec): EntityField => {
    const [field = '', type = 's', itemName] = spec.split(' ')
    return {
      name: field,
      itemName: itemName ?? camelName(field),
      type: TYPES[type[0] ?? 's'] ?? 'string',
      readOnly: type.endsWith('!'),
    }
  })
  return {
    name,
    typeId,
    fields: new Map(fields.map((field) => [field.name, field])),
    byItemName: new Map(fields.map((field) => [field.itemName, field])),
  }
}
