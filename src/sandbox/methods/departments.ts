import type { Condition } from '../filter.ts'
import { listRows, parseStart } from '../listing.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'
import { pageAnswer } from './paging.ts'

const FIELDS = ['ID', 'NAME', 'PARENT', 'UF_HEAD', 'SORT']

/**
 * Departments: filtered by equality of top-level parameters, which may be lists; sorted by `sort` and `order`.
 * Only `start` in lower case turns pages.
 *
 * https://apidocs.bitrix24.com/api-reference/departments/department-get.html
 */
export const DEPARTMENT_METHODS: MethodTable = {
  'department.get': { scopes: ['department'], run: list },
}

function list(call: Call): Answer {
  const { params, portal } = call
  const conditions = FIELDS.flatMap((field): Condition[] => {
    const value = field === 'SORT' ? undefined : param(params, field)
    return value === undefined
      ? []
      : [{ operator: '=', field, type: field === 'NAME' ? 'string' : 'integer', value }]
  })
  const sort = String(param(params, 'sort') ?? 'ID').toUpperCase()
  const field = FIELDS.includes(sort) ? sort : 'ID'
  const descending = String(param(params, 'order') ?? 'ASC').toUpperCase() === 'DESC'
  const page = listRows(portal.data.department, {
    conditions,
    order: [{ field, type: field === 'NAME' ? 'string' : 'integer', descending }],
    start: parseStart(params.start),
  })
  return pageAnswer(call, page, page.rows, 'zero')
}
