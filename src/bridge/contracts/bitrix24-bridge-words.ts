import type { Json } from '../../model/json.ts'

/** Settings of the contract of the older program bitrix24-bridge. */
export interface Bitrix24BridgeContractOptions {
  /**
   * Repeats three oddities of the older program: raw query text in batches, `halt` without effect, a single row of a
   * list lending its own `next` and `total`. Adds no fields to the eight. Off unless set.
   */
  readonly strict?: boolean
  /** False gives `result` as one bare object when there is exactly one; true (always an array) unless set. */
  readonly many?: boolean
  /** Larger bodies are refused with status 413; 16 MiB unless set. */
  readonly maxBodyBytes?: number
}

/** The options with every default filled in. */
export type Bitrix24BridgeRules = Required<Bitrix24BridgeContractOptions>

/** What `list` selects when the sender says nothing, in the older program and here. */
export const DEFAULT_SELECT: readonly string[] = ['*', 'PROPERTY_*']

/** The word that a reply shows for an action: a closed set, so that no other word reaches any code. */
export function resolveAction(action: Json | undefined): 'list' | 'batch' | 'default' {
  return action === 'list' || action === 'batch' ? action : 'default'
}

/** True for what Python takes for false: null, false, 0, "", [], {}. The older program replaced all of them by `{}`. */
export function isFalsy(value: Json | undefined): boolean {
  if (typeof value !== 'object' || value === null) return !value
  return Array.isArray(value) ? value.length === 0 : Object.keys(value).length === 0
}
