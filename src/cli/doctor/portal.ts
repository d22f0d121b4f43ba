import type { Config } from '../../config/config.ts'
import { isJsonObject } from '../../model/json.ts'
import { maskWebhook } from '../../model/webhook.ts'
import { clientOf } from '../client.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** The clock may differ by so much before tokens, deadlines and events come out wrong. */
const CLOCK_SECONDS = 30

/**
 * The portal, with one request: name, certificate and webhook are good, whose rights the calls have, what they may
 * touch, and how far the clocks are apart.
 */
export async function checkPortal(config: Config, now: () => number): Promise<Finding[]> {
  if (config.portal === undefined)
    return [
      config.contract.name === 'rabbitmq-to-bitrix24'
        ? ok('portal', 'not checked: user and token come with each command')
        : warn('portal', 'no default portal is set', 'Set BRIDGE_PORTAL to the URL of an incoming webhook.'),
    ]
  const client = clientOf(config, { portalWaitMs: 0 })
  try {
    const began = now()
    const { results, errors } = await client.batch({
      time: ['server.time'],
      profile: ['profile'],
      scope: ['scope'],
    })
    const ended = now()
    const failed = errors.profile ?? errors.scope
    if (failed !== undefined) return [fail('portal', failed), ...checkLimits(config)]
    return [
      ok('portal', `${maskWebhook(config.portal)} answered in ${Math.round(ended - began)} ms`),
      checkProfile(results.profile),
      checkScope(results.scope),
      checkClock(results.time, (began + ended) / 2),
      ...checkLimits(config),
    ]
  } catch (error) {
    return [fail('portal', error), ...checkLimits(config)]
  } finally {
    await client.close()
  }
}

/** Whose rights the calls have, from `profile`. */
export function checkProfile(profile: unknown): Finding {
  const user = isJsonObject(profile) ? profile : {}
  const name = [user.NAME, user.LAST_NAME].filter((one) => typeof one === 'string' && one !== '').join(' ')
  const who = `user ${String(user.ID ?? '?')}${name === '' ? '' : ` (${name})`}`
  return user.ADMIN === true
    ? ok('rights', `${who} is an administrator`)
    : warn(
        'rights',
        `${who} is no administrator`,
        'Commands see and change only what this user may see and change.',
      )
}

/** What the calls may touch, from `scope`. */
export function checkScope(scope: unknown): Finding {
  const names = Array.isArray(scope) ? scope.filter((one) => typeof one === 'string') : []
  return names.length > 0
    ? ok('scope', names.join(', '))
    : warn(
        'scope',
        'the webhook may touch nothing',
        'Tick the parts it may use in the form of the webhook in Bitrix24.',
      )
}

/** How far the clocks are apart, from `server.time`. https://apidocs.bitrix24.com/api-reference/common/system/server-time.html */
export function checkClock(time: unknown, at: number): Finding {
  const server = Date.parse(String(time))
  if (Number.isNaN(server)) return warn('clock', 'the portal did not tell its time')
  const apart = Math.round((server - at) / 1000)
  const text =
    Math.abs(apart) <= 1
      ? 'as the portal'
      : `${Math.abs(apart)} s ${apart > 0 ? 'behind' : 'ahead of'} the portal`
  return Math.abs(apart) <= CLOCK_SECONDS
    ? ok('clock', text)
    : warn('clock', text, 'Let this machine set its clock by the network (NTP).')
}

/** https://apidocs.bitrix24.com/limits.html */
function checkLimits({ limit, portal }: Config): Finding[] {
  const cloud = portal !== undefined && /\.bitrix24\.[a-z.]+$/.test(portal.domain)
  const text = limit === null ? 'off' : `${limit.capacity} requests at once, ${limit.drainPerSecond} a second`
  if (cloud && (limit === null || limit.capacity > 250 || limit.drainPerSecond > 5))
    return [
      warn(
        'limits',
        `${text}, but no plan in the cloud allows as much`,
        'Set BRIDGE_LIMITS to standard or enterprise.',
      ),
    ]
  return [ok('limits', text)]
}
