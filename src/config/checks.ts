import { resolve } from 'node:path'
import type { CertificateAuthority } from './config.ts'
import type { SettingValues } from './fields.ts'
import type { RestRoot } from './kinds.ts'
import { isOutside } from './network-kinds.ts'
import { readText } from './variables.ts'

/** What the checks need to know besides the values. */
export interface CheckOptions {
  readonly rest: RestRoot | undefined
  /** Variables of the older program of this contract are present, and nobody named a broker. */
  readonly brokerMissing: boolean
  readonly needs: readonly 'portal'[]
}

/** Where the messages of rabbitmq-to-bitrix24 are sent: the given address, or that of the default portal. */
export function restOf(values: SettingValues): RestRoot | undefined {
  if (values.rest !== undefined) return values.rest
  const { portal } = values
  return portal && { origin: portal.origin, domain: portal.domain, root: portal.root }
}

/** Faults that only show when the settings are seen together. */
export function missing(values: SettingValues, options: CheckOptions): string[] {
  const { rest, brokerMissing, needs } = options
  const faults: string[] = []
  const contract = values.contract ?? 'native'
  if (contract === 'rabbitmq-to-bitrix24' && rest === undefined)
    faults.push(
      'B24REST is not set; give it the REST address of the portal, such as https://example.bitrix24.com/rest/.',
    )
  if (contract === 'rabbitmq-to-bitrix24' && brokerMissing)
    faults.push(
      'AMPQURL is not set; give it the address of RabbitMQ, such as amqp://user:password@host:5672/.',
    )
  if (
    contract !== 'rabbitmq-to-bitrix24' &&
    needs.includes('portal') &&
    values.portal === undefined &&
    values.portalParameters === undefined
  )
    faults.push(
      'BRIDGE_PORTAL is not set; give it the URL of an incoming webhook (Bitrix24: Developer resources → Inbound webhook), or try `b24-bridge sandbox`.',
    )
  if (values.portalParameters !== undefined && values.rest === undefined)
    faults.push(
      'BRIDGE_PORTAL_PARAMETERS needs BRIDGE_REST; give it the REST address of the portal, such as https://portal.example/rest/.',
    )
  if (Object.keys(values.pages?.addresses ?? {}).length > 0 && values.pagesSecret === undefined)
    faults.push(
      'BRIDGE_PAGES names addresses and BRIDGE_PAGES_SECRET is not set; make one with `openssl rand -hex 24` and give it to those pages too.',
    )
  if (contract !== 'rabbitmq-to-bitrix24' && values.commandQueue === values.replyQueue)
    faults.push(
      `BRIDGE_COMMAND_QUEUE and BRIDGE_REPLY_QUEUE are both "${values.commandQueue}"; replies need a name of their own.`,
    )
  return faults
}

/** Sentences worth a warning. */
export function warnings(values: SettingValues): string[] {
  const outside = isOutside(values.http)
  const plain =
    values.portal?.origin.startsWith('http:') && !/^(localhost|127\.|\[::1\])/.test(values.portal.domain)
  return [
    ...(outside && values.adminToken === undefined
      ? [
          'The HTTP server listens beyond this machine and BRIDGE_ADMIN_TOKEN is not set: only programs on this machine may send commands.',
        ]
      : []),
    ...((values.adminToken?.length ?? 16) < 16
      ? ['BRIDGE_ADMIN_TOKEN is short enough to be guessed; make one with `openssl rand -hex 24`.']
      : []),
    ...(plain
      ? ['BRIDGE_PORTAL begins with http://, so the webhook travels unencrypted; use https://.']
      : []),
  ]
}

/** The file of `BRIDGE_TLS_CA`; adds to `faults` when it is no such file. */
export function readPem(
  file: string | undefined,
  cwd: string,
  faults: string[],
): CertificateAuthority | undefined {
  if (file === undefined) return undefined
  const path = resolve(cwd, file)
  const pem = readText(path)
  if (pem?.includes('-----BEGIN CERTIFICATE-----')) return { file: path, pem }
  faults.push(
    pem === undefined
      ? `BRIDGE_TLS_CA names ${file}, which cannot be read; check the path.`
      : `BRIDGE_TLS_CA names ${file}, which holds no PEM certificate; give the file of the certificate authority.`,
  )
  return undefined
}
