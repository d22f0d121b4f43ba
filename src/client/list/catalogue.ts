import type { JsonObject } from '../../model/json.ts'

/**
 * How a method takes its order: `map` is `order: { ID: 'ASC' }`; `pair` is two parameters, `sort: 'ID'` and
 * `order: 'ASC'`.
 */
export type OrderStyle =
  | { readonly kind: 'map'; readonly name: string }
  | { readonly kind: 'pair'; readonly field: string; readonly direction: string }

/** What is known about one list method. */
export interface ListFacts {
  /**
   * Where the rows are: `null` when `result` is the list itself, otherwise the name of the property that holds it.
   * Left out: found by looking at the answer (`rowsOf`).
   */
  readonly wrapper?: string | null
  /** The field of a row that holds its id; `null` when a row has none. */
  readonly id: string | null
  /** The name of the id in filters and orders; not always the same (`tasks.task.list`: `id` in rows, `ID` here). */
  readonly requestId: string | null
  /** The parameter that holds the filter. */
  readonly filter: string
  readonly order: OrderStyle
  /** The list can be walked by id: it honours a filter `>ID`, an order by id, and `start=-1`. */
  readonly keyset: boolean
  /** Without an order of its own the list comes by id ascending, so a walk by id gives the same sequence. */
  readonly defaultById: boolean
  /** What else must be sent to spare the portal the counting. */
  readonly uncounted?: JsonObject
}

const MAP = { kind: 'map', name: 'order' } as const
const UNKNOWN: ListFacts = {
  id: null,
  requestId: null,
  filter: 'filter',
  order: MAP,
  keyset: false,
  defaultById: false,
}

/** Upper-case rows in `result` itself: the old CRM methods and their like. */
const OLD: ListFacts = { ...UNKNOWN, wrapper: null, id: 'ID', requestId: 'ID', keyset: true }
/** Lower-case rows in a wrapper: the newer controllers. The wrapper's name is read from the answer. */
const NEW: ListFacts = { ...UNKNOWN, id: 'id', requestId: 'id', keyset: true }

/** Facts by method pattern (lower case), the first match wins. */
const TABLE: readonly (readonly [RegExp, ListFacts])[] = [
  // Walked by id, https://apidocs.bitrix24.com/settings/performance/huge-data.html
  [/^crm\.(lead|deal|contact|company|quote)\.list$/, { ...OLD, defaultById: true }],
  [/^crm\.(activity|product|productsection|productrow)\.list$/, OLD],
  [/^crm\.requisite(\.bankdetail|\.preset)?\.list$/, OLD],
  [/^crm\.item\.list$/, { ...NEW, wrapper: 'items' }],
  [/^crm\.item\.productrow\.list$/, { ...NEW, wrapper: 'productRows' }],
  [/^crm\.type\.list$/, { ...NEW, wrapper: 'types' }],
  [/^crm\.automatedsolution\.list$/, { ...NEW, wrapper: 'automatedSolutions' }],
  [/^crm\.stagehistory\.list$/, { ...OLD, wrapper: 'items' }],
  [/^crm\.documentgenerator\.document\.list$/, { ...NEW, wrapper: 'documents' }],
  [/^rpa\.item\.list$/, { ...NEW, wrapper: 'items' }],
  // https://apidocs.bitrix24.com/api-reference/tasks/tasks-task-list.html
  [
    /^tasks\.task\.list$/,
    { ...NEW, wrapper: 'tasks', requestId: 'ID', uncounted: { params: { COUNT_TOTAL: 'N' } } },
  ],
  // https://apidocs.bitrix24.com/api-reference/user/user-get.html
  [
    /^user\.(get|search)$/,
    { ...OLD, filter: 'FILTER', order: { kind: 'pair', field: 'sort', direction: 'order' } },
  ],
  [/^sonet_group\.get$/, { ...OLD, filter: 'FILTER', order: { kind: 'map', name: 'ORDER' } }],
  [/^socialnetwork\.api\.workgroup\.list$/, { ...NEW, wrapper: 'workgroups', requestId: 'ID' }],
  [/^lists\.element\.get$/, { ...OLD, filter: 'FILTER', order: { kind: 'map', name: 'ELEMENT_ORDER' } }],
  [/^entity\.(item|section)\.get$/, { ...OLD, filter: 'FILTER', order: { kind: 'map', name: 'SORT' } }],
  [/^disk\.(storage\.getlist|(folder|storage)\.getchildren)$/, OLD],
  // https://apidocs.bitrix24.com/api-reference/telephony/voximplant/statistic/voximplant-statistic-get.html
  [
    /^voximplant\.statistic\.get$/,
    { ...OLD, filter: 'FILTER', order: { kind: 'pair', field: 'SORT', direction: 'ORDER' } },
  ],
  [/^bizproc\.(task|workflow\.template)\.list$/, OLD],
  [/^event\.offline\.list$/, OLD],

  // Not by id although the name looks like it: no numeric id, or no paging.
  [/^catalog\.catalog\.list$/, { ...NEW, wrapper: 'catalogs', id: 'iblockId', keyset: false }],
  [/^sale\.status\.list$/, { ...NEW, wrapper: 'statuses', keyset: false }],
  [/^sale\.(paysystem|cashbox)\.list$|^sale\.delivery\.getlist$/, { ...OLD, keyset: false }],
  // https://apidocs.bitrix24.com/api-reference/catalog/index.html, https://apidocs.bitrix24.com/api-reference/sale/index.html
  [/^catalog\.(product|section|price|store|measure|vat|ratio|extra|document|storeproduct)\.list$/, NEW],
  [/^catalog\.product\.(sku|offer|service)\.list$|^catalog\.document\.element\.list$/, NEW],
  [/^catalog\.productproperty\w*\.list$/, NEW],
  [/^sale\.(order|payment|shipment|basketitem|basketproperty|property|propertyvalue)\.list$/, NEW],
  [/^sale\.(paymentitembasket|paymentitemshipment|shipmentitem|persontype|trade\w*)\.list$/, NEW],

  // By offset only, with an id that tells doubles.
  [
    /^crm\.status\.list$|^crm\.\w+\.userfield\.list$|^crm\.timeline\.comment\.list$/,
    { ...OLD, keyset: false },
  ],
  [/^crm\.category\.list$/, { ...NEW, wrapper: 'categories', keyset: false }],
  [/^crm\.currency\.list$/, { ...UNKNOWN, wrapper: null, id: 'CURRENCY' }],
  [/^crm\.deal\.recurring\.list$/, { ...UNKNOWN, wrapper: null, id: 'id' }],
  [/^crm\.orderentity\.list$/, { ...UNKNOWN, wrapper: 'orderEntity' }],
  [/^(crm\.)?documentgenerator\.template\.list$/, { ...UNKNOWN, wrapper: 'templates', id: 'id' }],
  [/^userfieldconfig\.list$/, { ...UNKNOWN, wrapper: 'fields', id: 'id' }],
  [/^tasks\.task\.history\.list$/, { ...UNKNOWN, wrapper: 'list', id: 'id' }],
  [/^tasks\.template\.checklist\.list$/, { ...UNKNOWN, wrapper: 'checkListItems', id: 'id' }],
  [/^department\.get$|^lists\.(section\.)?get$|^log\.blogpost\.get$/, { ...OLD, keyset: false }],
  [/^disk\.file\.search$|^calendar\.(event|section)\.get$/, { ...OLD, keyset: false }],
  [/^im\.recent\.list$/, { ...UNKNOWN, wrapper: 'items', id: 'id' }],
  [/^booking\.v1\.[\w.]+\.list$/, { ...UNKNOWN, id: 'id' }],
]

/**
 * What is known about a list method. Case of the name does not matter. For a method that nobody knows: rows by the
 * general rule, no id, pages by offset.
 */
export function listFacts(method: string): ListFacts {
  const name = method.toLowerCase()
  return TABLE.find(([pattern]) => pattern.test(name))?.[1] ?? UNKNOWN
}
