import type { ImportRow } from './simple-api.ts'

/** What a row brings that the store does not have yet. */
export interface RowPlan {
  readonly row: ImportRow
  readonly application: 'new' | 'known' | 'other secret'
  readonly portal: 'new' | 'known'
  /** `again`: the store has a pair that is dead. */
  readonly tokens: 'new' | 'known' | 'again'
  readonly installation: 'new' | 'known'
  readonly applicationToken: 'new' | 'known' | 'none'
}

/** True when there is something in the row that the store does not have. */
export function bringsNews(plan: RowPlan): boolean {
  const { application, portal, tokens, installation, applicationToken } = plan
  return [application, portal, installation, applicationToken].includes('new') || tokens !== 'known'
}
