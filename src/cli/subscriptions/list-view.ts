import type { JsonObject } from '../../model/json.ts'
import { maskSecrets } from '../../model/webhook.ts'
import { EXIT, exitCodeOf } from '../exit-codes.ts'
import { tableLines } from '../table.ts'
import type { PortalBindingList } from './list.ts'

/** A portal for people. The keys in our addresses are not shown. */
export function bindingLines({ domain, bound, error, skipped, refused }: PortalBindingList): string[] {
  if (skipped !== undefined) return [`${domain}: left out: ${maskSecrets(skipped)}`]
  if (error !== undefined) return [`${domain}: FAILED: ${maskSecrets(error.message)}`]
  const rows = bound.map((one) => [one.kind, one.label, one.ours ? 'ours' : 'foreign', shown(one.url)])
  const table = tableLines(['KIND', 'WHAT', 'WHOSE', 'WHERE'], rows)
  const closed = refused.length === 0 ? [] : [`  not allowed to see: ${refused.join(', ')}`]
  return [
    `${domain}: ${bound.length === 0 ? 'nothing is bound' : `${bound.length} bound`}`,
    ...table.map((line) => `  ${line}`),
    ...closed,
  ]
}

/** A portal for programs. */
export function bindingJson({
  domain,
  memberId,
  bound,
  refused,
  error,
  skipped,
}: PortalBindingList): JsonObject {
  return {
    domain,
    memberId: memberId ?? null,
    bound: bound.map(({ kind, label, url, ours }) => ({
      kind,
      label,
      ours,
      url: url === undefined ? null : shown(url),
    })),
    refused: [...refused],
    ...(skipped === undefined ? {} : { skipped: maskSecrets(skipped) }),
    ...(error === undefined ? {} : { error: { code: error.code, message: maskSecrets(error.message) } }),
  }
}

/** 0 when every portal could be asked. */
export function exitCodeOfBindings(lists: readonly PortalBindingList[]): number {
  const error = lists.find((one) => one.error !== undefined)?.error
  return error === undefined ? EXIT.ok : exitCodeOf(error)
}

/** An address without the parameters that may be secret. */
function shown(url: string | undefined): string {
  if (url === undefined) return '-'
  const at = url.indexOf('?')
  return at < 0 ? url : `${url.slice(0, at)}?…`
}
