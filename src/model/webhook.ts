import type { Credential } from './credential.ts'
import { CommandError } from './errors.ts'

/**
 * An incoming webhook: a URL that is a credential. It names the portal, the user whose rights every call has, and
 * a secret. The secret never leaves this object except inside a request's address.
 *
 * https://apidocs.bitrix24.com/local-integrations/local-webhooks.html
 */
export interface Webhook {
  /** Scheme, host and port: `https://example.bitrix24.com`. */
  readonly origin: string
  /** Host and port, lower case: `example.bitrix24.com`. The portal's domain today. */
  readonly domain: string
  /** Path in front of `/{user}/{secret}`; `/rest` in the cloud. */
  readonly root: string
  readonly userId: string
  readonly secret: string
}

/**
 * Reads `https://{portal}/rest/{user}/{secret}/`, with or without the last slash, also with a method name behind it
 * (people copy the example address of the webhook form).
 *
 * Throws a `CommandError` `WEBHOOK_INVALID` that never repeats the input, because the input holds a secret.
 */
export function parseWebhook(text: string): Webhook {
  const bad = (why: string): CommandError =>
    new CommandError('WEBHOOK_INVALID', `The webhook address ${why}.`, {
      hint: 'It looks like https://example.bitrix24.com/rest/1/abc123def456/ and is shown in Bitrix24 under Developer resources → Inbound webhook.',
    })
  if (!URL.canParse(text.trim())) throw bad('is not a URL')
  const url = new URL(text.trim())
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw bad('must start with https://')
  const parts = url.pathname.split('/').filter((part) => part !== '')
  const rest = parts.lastIndexOf('rest')
  const userId = parts[rest + 1]
  const secret = parts[rest + 2]
  if (rest < 0) throw bad('has no /rest/ in its path')
  if (userId === undefined || !/^\d+$/.test(userId)) throw bad('has no user number behind /rest/')
  if (secret === undefined || !/^[\w-]+$/.test(secret)) throw bad('has no secret code behind the user number')
  return {
    origin: url.origin,
    domain: url.host.toLowerCase(),
    root: `/${parts.slice(0, rest + 1).join('/')}`,
    userId,
    secret,
  }
}

/** The webhook as a credential for calls. */
export function webhookCredential(webhook: Webhook): Credential {
  const { origin, domain, root, userId, secret } = webhook
  const authorization = { base: `${root}/${userId}/${secret}/`, params: {} }
  return { origin, domain, key: `${userId}/${secret}`, authorize: () => authorization }
}

/** The webhook with its secret hidden, for logs and summaries: `https://example.bitrix24.com/rest/1/•••/`. */
export function maskWebhook(webhook: Webhook): string {
  return `${webhook.origin}${webhook.root}/${webhook.userId}/•••/`
}

/** Hides webhook secrets and `auth`/token parameters in any text that may hold an address. */
export function maskSecrets(text: string): string {
  return text
    .replace(/(\/rest\/(?:api\/)?\d+\/)[\w-]+/g, '$1•••')
    .replace(/\b(auth|access_token|refresh_token|client_secret|code|token|ap)(=|%3D)[^&\s"']+/gi, '$1$2•••')
    .replace(/(amqps?:\/\/[^:/@\s]+:)[^@/\s]+@/g, '$1•••@')
}
