import type { Json } from '../model/json.ts'
import { ENTITIES } from './entities.ts'
import { type Row, Table } from './table.ts'
import { isoTime } from './time.ts'

/** How many objects of each kind a portal has from the start. Large numbers cost nothing. */
export interface DataCounts {
  readonly deals: number
  readonly leads: number
  readonly contacts: number
  readonly companies: number
  readonly products: number
  readonly tasks: number
  readonly users: number
}

/** The objects of one portal. */
export interface PortalData {
  readonly lead: Table
  readonly deal: Table
  readonly contact: Table
  readonly company: Table
  readonly product: Table
  readonly task: Table
  readonly comment: Table
  readonly user: Table
  readonly department: Table
  readonly element: Table
}

/** Makes the tables. Every seeded row is a pure function of its id, so two portals with equal counts are equal. */
export function createData(counts: DataCounts): PortalData {
  const users = Math.max(1, counts.users)
  const crm = (name: keyof typeof ENTITIES, count: number, own: (id: number) => Row) => {
    const empty = Object.fromEntries(
      Array.from(ENTITIES[name].fields.keys(), (field): [string, Json] => [field, null]),
    )
    const generate = (id: number) => Object.assign({ ...empty }, commonFields(id, users), own(id))
    return new Table({ count, generate, keys: KEYS })
  }
  return {
    lead: crm('lead', counts.leads, leadFields),
    deal: crm('deal', counts.deals, dealFields),
    contact: crm('contact', counts.contacts, contactFields),
    company: crm('company', counts.companies, companyFields),
    product: new Table({ count: counts.products, generate: productRow, keys: KEYS }),
    task: new Table({ count: counts.tasks, generate: (id) => taskRow(id, users), keys: KEYS }),
    comment: new Table({ count: 0, generate: () => ({}) }),
    user: new Table({ count: users, generate: userRow }),
    department: new Table({ count: DEPARTMENTS.length, generate: departmentRow }),
    element: new Table({ count: 0, generate: () => ({}), keys: ['CODE'] }),
  }
}

/** What other systems know an object by; ORIGINATOR_ID alone names the system and is no key. */
const KEYS = ['ORIGIN_ID', 'XML_ID']
const EPOCH_MS = Date.UTC(2024, 0, 1, 9)
const STAGES = ['NEW', 'PREPARATION', 'PREPAYMENT_INVOICE', 'EXECUTING', 'WON', 'LOSE']
const NAMES = ['Anna', 'Boris', 'Clara', 'David', 'Elena', 'Fedor', 'Grace', 'Hugo']
const SURNAMES = ['Orlova', 'Petrov', 'Stone', 'Weber', 'Novak', 'Silva', 'Khan']
const DEPARTMENTS = ['Head office', 'Sales', 'Support', 'Warehouse']

/** A number from 0 to n-1 that looks random and depends on the id alone. */
function pick(id: number, salt: number, n: number): number {
  return (Math.imul(id ^ (salt * 0x9e3779b1), 0x85ebca6b) >>> 8) % n
}

function commonFields(id: number, users: number): Row {
  const created = isoTime(EPOCH_MS + id * 60_000)
  const user = String(1 + pick(id, 1, users))
  return {
    ID: String(id),
    ASSIGNED_BY_ID: user,
    CREATED_BY_ID: user,
    MODIFY_BY_ID: user,
    DATE_CREATE: created,
    DATE_MODIFY: created,
    OPENED: 'Y',
    SOURCE_ID: 'WEB',
  }
}

function dealFields(id: number): Row {
  const stage = STAGES[pick(id, 2, STAGES.length)] ?? 'NEW'
  return {
    TITLE: `Deal ${id}`,
    STAGE_ID: stage,
    CATEGORY_ID: '0',
    TYPE_ID: 'SALE',
    OPPORTUNITY: `${100 + pick(id, 3, 100_000)}.00`,
    CURRENCY_ID: 'EUR',
    IS_MANUAL_OPPORTUNITY: 'N',
    CONTACT_ID: String(1 + pick(id, 4, 100)),
    COMPANY_ID: String(1 + pick(id, 5, 40)),
    CLOSED: stage === 'WON' || stage === 'LOSE' ? 'Y' : 'N',
  }
}

function leadFields(id: number): Row {
  return { TITLE: `Lead ${id}`, STATUS_ID: 'NEW', OPPORTUNITY: '0.00', CURRENCY_ID: 'EUR', ...person(id) }
}

function contactFields(id: number): Row {
  return { TYPE_ID: 'CLIENT', COMPANY_ID: String(1 + pick(id, 5, 40)), ...person(id) }
}

function companyFields(id: number): Row {
  return {
    TITLE: `Company ${id}`,
    COMPANY_TYPE: 'CUSTOMER',
    HAS_PHONE: 'N',
    HAS_EMAIL: 'N',
    CURRENCY_ID: 'EUR',
  }
}

function person(id: number): Row {
  const name = NAMES[pick(id, 6, NAMES.length)] ?? 'Anna'
  const channel = (type: string, value: string, offset: number): Json => [
    { ID: String(id * 2 + offset), VALUE_TYPE: 'WORK', VALUE: value, TYPE_ID: type },
  ]
  return {
    NAME: name,
    LAST_NAME: SURNAMES[pick(id, 7, SURNAMES.length)] ?? 'Stone',
    HAS_PHONE: 'Y',
    HAS_EMAIL: 'Y',
    PHONE: channel('PHONE', `+49151${String(id).padStart(8, '0')}`, 0),
    EMAIL: channel('EMAIL', `${name.toLowerCase()}.${id}@example.com`, 1),
  }
}

function productRow(id: number): Row {
  const created = isoTime(EPOCH_MS + id * 60_000)
  return {
    ID: String(id),
    NAME: `Product ${id}`,
    CODE: `product-${id}`,
    ACTIVE: 'Y',
    SORT: '500',
    PRICE: `${1 + pick(id, 3, 1000)}.00`,
    CURRENCY_ID: 'EUR',
    DESCRIPTION: null,
    SECTION_ID: null,
    MEASURE: '9',
    VAT_ID: null,
    XML_ID: null,
    DATE_CREATE: created,
    TIMESTAMP_X: created,
  }
}

function taskRow(id: number, users: number): Row {
  const created = isoTime(EPOCH_MS + id * 60_000)
  const user = String(1 + pick(id, 1, users))
  return {
    ID: String(id),
    PARENT_ID: '0',
    TITLE: `Task ${id}`,
    DESCRIPTION: '',
    PRIORITY: '1',
    STATUS: String(2 + pick(id, 2, 4)),
    GROUP_ID: '0',
    CREATED_BY: '1',
    RESPONSIBLE_ID: user,
    CREATED_DATE: created,
    CHANGED_DATE: created,
    DEADLINE: null,
    CLOSED_DATE: null,
    XML_ID: null,
  }
}

function userRow(id: number): Row {
  const name = NAMES[pick(id, 6, NAMES.length)] ?? 'Anna'
  return {
    ID: String(id),
    XML_ID: null,
    ACTIVE: true,
    NAME: name,
    LAST_NAME: SURNAMES[pick(id, 7, SURNAMES.length)] ?? 'Stone',
    SECOND_NAME: '',
    EMAIL: `user.${id}@example.com`,
    LAST_LOGIN: isoTime(EPOCH_MS),
    DATE_REGISTER: isoTime(EPOCH_MS),
    TIME_ZONE: '',
    IS_ONLINE: 'N',
    PERSONAL_GENDER: '',
    WORK_POSITION: id === 1 ? 'Administrator' : '',
    UF_DEPARTMENT: [1 + ((id - 1) % DEPARTMENTS.length)],
    USER_TYPE: 'employee',
  }
}

function departmentRow(id: number): Row {
  const row: Row = {
    ID: String(id),
    NAME: DEPARTMENTS[id - 1] ?? 'Department',
    SORT: 500 * id,
    UF_HEAD: String(id),
  }
  return id === 1 ? row : { ...row, PARENT: '1' }
}
