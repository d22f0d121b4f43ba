import type { Json } from '../../model/json.ts'
import type { Page } from '../listing.ts'
import type { Answer, Call } from '../method.ts'

/**
 * The answer of a list method. When nothing was counted (`start: -1`) `total` is 0 or missing, as is usual in the
 * method's family, or as the switch says. https://apidocs.bitrix24.com/settings/performance/huge-data.html
 */
export function pageAnswer(call: Call, page: Page, result: Json, uncounted: 'zero' | 'absent'): Answer {
  const { totalUncounted } = call.portal.settings.switches
  const habit = totalUncounted === 'family' ? uncounted : totalUncounted
  const total = page.total ?? (habit === 'zero' ? 0 : undefined)
  return {
    result,
    ...(total === undefined ? {} : { total }),
    ...(page.next === undefined ? {} : { next: page.next }),
  }
}
