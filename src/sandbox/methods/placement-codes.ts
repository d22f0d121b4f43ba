/** A place where pages of applications can stand. */
export interface PlacementRule {
  /** Missing for places that need no scope but `placement`. */
  readonly scope?: string
  /** How many handlers one application may bind. */
  readonly maxCount?: number
  /** May be bound for one user. */
  readonly userMode?: boolean
}

const CRM_TYPES = ['LEAD', 'DEAL', 'CONTACT', 'COMPANY', 'QUOTE', 'SMART_INVOICE', 'ORDER', 'ACTIVITY']
const CRM_PLACES = [
  'LIST_MENU',
  'LIST_TOOLBAR',
  'DETAIL_TAB',
  'DETAIL_TOOLBAR',
  'DETAIL_ACTIVITY',
  'DOCUMENTGENERATOR_BUTTON',
  'ROBOT_DESIGNER_TOOLBAR',
]

const BY_SCOPE: Readonly<Record<string, readonly string[]>> = {
  crm: [
    ...CRM_TYPES.flatMap((type) => CRM_PLACES.map((place) => `CRM_${type}_${place}`)),
    'CRM_FUNNELS_TOOLBAR',
    'CRM_ANALYTICS_MENU',
    'CRM_DETAIL_SEARCH',
    'CRM_REQUISITE_AUTOCOMPLETE',
    'CRM_BANK_DETAIL_AUTOCOMPLETE',
  ],
  task: ['VIEW_TAB', 'VIEW_SIDEBAR', 'VIEW_TOP_PANEL', 'LIST_CONTEXT_MENU', 'USER_LIST_TOOLBAR']
    .concat('GROUP_LIST_TOOLBAR', 'ROBOT_DESIGNER_TOOLBAR')
    .map((place) => `TASK_${place}`),
  sonet_group: ['DETAIL_TAB', 'TOOLBAR', 'ROBOT_DESIGNER_TOOLBAR'].map((place) => `SONET_GROUP_${place}`),
  user: ['USER_PROFILE_MENU', 'USER_PROFILE_TOOLBAR'],
  calendar: ['CALENDAR_GRIDVIEW'],
  telephony: ['CALL_CARD', 'TELEPHONY_ANALYTICS_MENU'],
  contact_center: ['CONTACT_CENTER'],
  im: ['IM_TEXTAREA', 'IM_SIDEBAR', 'IM_NAVIGATION', 'IM_CONTEXT_MENU', 'IMMOBILE_CONTEXT_MENU'],
}

const RULES = new Map<string, PlacementRule>([
  ...Object.entries(BY_SCOPE).flatMap(([scope, codes]) =>
    codes.map((code): [string, PlacementRule] => [code, { scope }]),
  ),
  ['CALL_CARD', { scope: 'telephony', maxCount: 1 }],
  ['LEFT_MENU', {}],
  ['BI_ANALYTICS_MENU', {}],
  ['REST_APP_URI', { maxCount: 1 }],
  ['PAGE_BACKGROUND_WORKER', { maxCount: 1, userMode: true }],
])

/**
 * The rule of a place that an application with these scopes may use. Places of smart processes carry their number:
 * `CRM_DYNAMIC_128_DETAIL_TAB`.
 *
 * https://apidocs.bitrix24.com/api-reference/widgets/placements.html
 */
export function placementRule(code: string, scopes: ReadonlySet<string>): PlacementRule | undefined {
  const rule = RULES.get(code.replace(/^CRM_DYNAMIC_\d+_/, 'CRM_LEAD_'))
  return rule?.scope === undefined || scopes.has(rule.scope) ? rule : undefined
}

/** Codes of places: of one scope (empty for those without), or of all of these. */
export function placementCodes(scopes: Iterable<string> | 'all'): string[] {
  const wanted = scopes === 'all' ? undefined : new Set(['', ...scopes])
  return [...RULES].filter(([, { scope = '' }]) => wanted?.has(scope) ?? true).map(([code]) => code)
}
