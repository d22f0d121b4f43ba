import type { Portal } from '../portal.ts'

/** An object of the CRM as workflows and messages name it. */
export interface WorkDocument {
  /** Module, class and `DEAL_7`. */
  readonly id: readonly [string, string, string]
  /** Module, class and `DEAL`. */
  readonly type: readonly [string, string, string]
  readonly ownerTypeId: number
  readonly ownerId: number
}

const KINDS = {
  LEAD: { table: 'lead', className: 'CCrmDocumentLead', typeId: 1 },
  DEAL: { table: 'deal', className: 'CCrmDocumentDeal', typeId: 2 },
  CONTACT: { table: 'contact', className: 'CCrmDocumentContact', typeId: 3 },
  COMPANY: { table: 'company', className: 'CCrmDocumentCompany', typeId: 4 },
} as const

/**
 * Reads `DEAL_7`. Throws when there is no such object on the portal.
 *
 * https://apidocs.bitrix24.com/api-reference/bizproc/bizproc-robot/index.html
 */
export function documentOf(portal: Portal, name: string): WorkDocument {
  const [, kind = '', id = ''] = /^([A-Z]+)_(\d+)$/.exec(name) ?? []
  const known = KINDS[kind as keyof typeof KINDS]
  if (known === undefined || portal.data[known.table].get(Number(id)) === undefined)
    throw new Error(`the portal has no document ${name}; it is named like DEAL_7`)
  const { className, typeId } = known
  return {
    id: ['crm', className, name],
    type: ['crm', className, kind],
    ownerTypeId: typeId,
    ownerId: Number(id),
  }
}
