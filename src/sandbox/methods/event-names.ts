const ACTS = ['ADD', 'UPDATE', 'DELETE']

function each(prefix: string, names: readonly string[], acts: readonly string[] = ACTS): string[] {
  return names.flatMap((name) => acts.map((act) => `ON${prefix}${name}${act}`))
}

/** Events that every application may subscribe to. */
const GLOBAL = [
  'ONAPPINSTALL',
  'ONAPPUNINSTALL',
  'ONAPPUPDATE',
  'ONAPPPAYMENT',
  'ONSUBSCRIPTIONRENEW',
  'ONAPPTEST',
  'ONAPPMETHODCONFIRM',
  'ONOFFLINEEVENT',
]

const CRM = [
  ...each('CRM', ['LEAD', 'DEAL', 'CONTACT', 'COMPANY', 'PRODUCT', 'QUOTE', 'INVOICE', 'ACTIVITY']),
  ...each('CRM', ['REQUISITE', 'BANKDETAIL', 'CURRENCY', 'PRODUCTSECTION', 'PRODUCTPROPERTY', 'MEASURE']),
  ...each('CRM', ['DYNAMICITEM', 'TYPE', 'TIMELINECOMMENT', 'DOCUMENTGENERATORDOCUMENT']),
  ...each('CRM', ['DEALRECURRING'], [...ACTS, 'EXPOSE']),
  ...each('CRM', ['ADDRESS'], ['REGISTER', 'UNREGISTER']),
  ...each(
    'CRM',
    ['LEAD', 'DEAL', 'CONTACT', 'COMPANY', 'QUOTE', 'INVOICE', 'REQUISITE'].map((name) => `${name}USERFIELD`),
    [...ACTS, 'SETENUMVALUES'],
  ),
  'ONCRMDEALMOVETOCATEGORY',
  'ONCRMINVOICESETSTATUS',
  'ONCRMTIMELINEITEMACTION',
]

/** By scope; the sandbox raises those of what its methods change, and others when it is told to. */
const BY_SCOPE: Readonly<Record<string, readonly string[]>> = {
  crm: CRM,
  task: [...each('TASK', ['', 'COMMENT'])],
  user: ['ONUSERADD'],
  calendar: each('CALENDAR', ['ENTRY', 'SECTION']),
  telephony: ['ONVOXIMPLANTCALLINIT', 'ONVOXIMPLANTCALLSTART', 'ONVOXIMPLANTCALLEND'].concat(
    'ONEXTERNALCALLSTART',
    'ONEXTERNALCALLBACKSTART',
  ),
  imbot: each('IMBOT', ['MESSAGE']).concat('ONIMBOTJOINCHAT', 'ONIMBOTDELETE', 'ONIMCOMMANDADD'),
  imopenlines: ['ONOPENLINEMESSAGEADD', 'ONOPENLINEMESSAGEUPDATE', 'ONOPENLINEMESSAGEDELETE'].concat(
    'ONSESSIONSTART',
    'ONSESSIONFINISH',
  ),
  imconnector: ['ONIMCONNECTORMESSAGEADD', 'ONIMCONNECTORMESSAGEUPDATE', 'ONIMCONNECTORMESSAGEDELETE'].concat(
    'ONIMCONNECTORLINEDELETE',
    'ONIMCONNECTORSTATUSDELETE',
  ),
}

/**
 * Names of events in upper case: those of one scope, of all of them, or those that an application with `scopes` may
 * subscribe to.
 *
 * https://apidocs.bitrix24.com/api-reference/events/events.html
 */
export function eventNames(choice: { readonly scopes: Iterable<string> } | 'all'): string[] {
  const scopes = choice === 'all' ? Object.keys(BY_SCOPE) : [...choice.scopes]
  return [...GLOBAL, ...scopes.flatMap((scope) => BY_SCOPE[scope] ?? [])]
}

/** Names of one scope; unknown ones have none. */
export function eventNamesOf(scope: string): readonly string[] {
  return BY_SCOPE[scope] ?? []
}

/** True when an application with these scopes may subscribe; smart processes may be named one by one. */
export function isSubscribable(event: string, scopes: ReadonlySet<string>): boolean {
  const known = event.replace(/^(ONCRMDYNAMICITEM(?:ADD|UPDATE|DELETE))_\d+$/, '$1')
  return eventNames({ scopes }).includes(known)
}
