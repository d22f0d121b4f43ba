import { RestFault } from './errors.ts'

/**
 * Throws unless an address can be a handler: http or https, a host with a dot, because it must be reachable from the
 * internet, and no more than 255 characters.
 *
 * https://apidocs.bitrix24.com/api-reference/events/event-bind.html
 */
export function checkHandlerUrl(url: string): void {
  if (!/^https?:\/\//i.test(url))
    throw new RestFault('ERROR_UNSUPPORTED_PROTOCOL', 'Unsupported handler protocol')
  const host = URL.canParse(url) ? new URL(url).hostname : ''
  if (!host.includes('.') || url.length > 255)
    throw new RestFault('ERROR_WRONG_HANDLER_URL', 'Wrong handler URL')
}
