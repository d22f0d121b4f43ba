import { createHmac } from 'node:crypto'
import { isPrivateHost, refusesLiteral } from '../../client/callback.ts'
import { CommandError } from '../../model/errors.ts'
import type { DueCallback } from './store.ts'

/** Where a reply is told besides the inbox. */
export type CallbackTarget =
  | { readonly kind: 'row' }
  | { readonly kind: 'queue'; readonly queue: string }
  | { readonly kind: 'http'; readonly url: URL }

/** What the operator allows. */
export interface CallbackRules {
  /** `whsec_…`, each of them signs; none: nothing is posted. */
  readonly secrets: readonly string[]
  readonly privateHosts: readonly string[]
}

/**
 * Reads the column `callback`: empty or `row`, `queue:NAME`, or an address. Throws a `CommandError` for anything else and
 * for what the operator has not allowed, so that it is known before the command is carried out.
 */
export function parseCallback(text: string | null, rules: CallbackRules): CallbackTarget {
  const trimmed = text?.trim() ?? ''
  if (trimmed === '' || trimmed === 'row') return { kind: 'row' }
  const queue = /^queue:(.+)$/.exec(trimmed)?.[1]
  if (queue !== undefined && Buffer.byteLength(queue) <= 255) return { kind: 'queue', queue }
  const url = URL.canParse(trimmed) ? new URL(trimmed) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || `${url.username}${url.password}` !== '')
    throw new CommandError('CALLBACK_INVALID', 'The column callback holds no place for a reply.', {
      hint: 'Write queue:NAME, an https:// address without user and password, or row.',
    })
  if (rules.secrets.length === 0)
    throw new CommandError('CALLBACK_UNSIGNED', 'Replies are posted only when they can be signed.', {
      hint: 'Set BRIDGE_OUTBOX_SECRET, or read the reply from b24_inbox.',
    })
  const free = isPrivateHost(url, rules.privateHosts)
  if (!free && (url.protocol === 'http:' || refusesLiteral(url)))
    throw new CommandError('CALLBACK_REFUSED', `Replies are not posted to ${url.protocol}//${url.host}.`, {
      hint: 'Use https:// and a public address, or name the host in BRIDGE_OUTBOX_PRIVATE_HOSTS.',
    })
  return { kind: 'http', url }
}

/** Whose attempts are counted together: those of one host, and those of all queues. Any text has a place. */
export function callbackPlace(text: string | null): {
  readonly name: string
  /** How texts begin that lead there, written as this one is. */
  readonly begins: readonly string[]
} {
  if (/^\s*queue:/.test(text ?? '')) return { name: 'queue', begins: ['queue:'] }
  const [authority] = /^\s*https?:\/\/[^/?#]*/i.exec(text ?? '') ?? []
  if (authority === undefined || !URL.canParse(authority)) return { name: '', begins: [] }
  return { name: new URL(authority).host, begins: [`${authority}/`, `${authority}?`] }
}

/**
 * Signs a post as Standard Webhooks says: by `webhook-id` its reader tells repetitions, by `webhook-timestamp` old posts.
 *
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function signedHeaders(
  secrets: readonly string[],
  { id, seconds, body }: { readonly id: string; readonly seconds: number; readonly body: string },
): Record<string, string> {
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
    return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`
  })
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': signatures.join(' '),
  }
}

/** The same for every attempt, and for no other reply. */
export function callbackId({ id, created_at }: Pick<DueCallback, 'id' | 'created_at'>): string {
  return `b24_${id}_${Math.trunc(created_at).toString(36)}`
}

/** The reply in the form of the native contract. */
export function replyText({
  details,
  result,
  meta,
}: Pick<DueCallback, 'details' | 'result' | 'meta'>): string {
  return `${(details ?? '{}').slice(0, -1)},"result":${result ?? 'null'},"meta":${meta || '{}'}}`
}

/** What is posted: the reply, and which row it answers. */
export function callbackBody(due: DueCallback): string {
  const envelope = {
    type: 'b24.reply',
    timestamp: new Date(due.created_at).toISOString(),
    outbox_id: due.outbox_id,
    inbox_id: due.id,
    message_id: due.message_id,
    chain_id: due.chain_id,
    chain_step: due.chain_step,
  }
  return `${JSON.stringify(envelope).slice(0, -1)},"data":${replyText(due)}}`
}

/** Between one attempt and the next: as Standard Webhooks proposes, over some three days. */
export const BACK_OFF_MS = [
  5000,
  5 * 60_000,
  30 * 60_000,
  2 * 3_600_000,
  5 * 3_600_000,
  10 * 3_600_000,
  14 * 3_600_000,
  20 * 3_600_000,
  24 * 3_600_000,
] as const

/** Milliseconds until the attempt after this one, a little more or less so that many do not come at once; `undefined` after the last. */
export function backOff(attempt: number, random: number): number | undefined {
  const wait = BACK_OFF_MS[attempt - 1]
  return wait === undefined ? undefined : Math.round(wait * (0.9 + 0.2 * random))
}
