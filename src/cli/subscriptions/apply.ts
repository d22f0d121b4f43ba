import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApplyParts, PortalReport } from '../../bridge/events/subscriptions/apply.ts'
import type { SubscriptionDocument } from '../../bridge/events/subscriptions/document.ts'
import { applicationOf, applyToAll } from '../../bridge/events/subscriptions/many.ts'
import { parseSubscriptions } from '../../bridge/events/subscriptions/yaml.ts'
import type { Config } from '../../config/config.ts'
import { CommandError, ConfigError } from '../../model/errors.ts'
import { subscriptionRecords } from '../../stores/subscriptions.ts'
import { type ToolPortals, withPortals } from '../portals/lanes.ts'
import type { Vault } from '../vault.ts'

/** The call that something is applied for. */
export interface ApplyCall {
  readonly config: Config
  readonly cwd: string
  readonly signal: AbortSignal
}

/** Applies a file to its portals; gives the reports in the order in which the portals were done. */
export async function applyFile(
  call: ApplyCall,
  vault: Vault,
  file: string,
  options: { readonly dryRun: boolean; readonly onReport: (report: PortalReport) => void },
): Promise<PortalReport[]> {
  const { config, cwd, signal } = call
  const document = parseSubscriptions(await readText(cwd, file), file)
  const base = baseOf(config, document)
  const reports: PortalReport[] = []
  await withPortals(call, vault, async (tools) => {
    const parts = applyParts(vault, tools)
    const clientId = await applicationOf(parts.store, document)
    const request = { document, clientId, base, dryRun: options.dryRun }
    const onReport = (report: PortalReport): void => {
      reports.push(report)
      options.onReport(report)
    }
    await applyToAll(parts, request, onReport, signal)
  })
  return reports
}

/** What applying needs, over a store and its portals. */
export function applyParts({ store, secrets }: Vault, { portals }: Pick<ToolPortals, 'portals'>): ApplyParts {
  return {
    portals,
    store: subscriptionRecords(store, randomUUID),
    sign: secrets.fingerprint,
    now: Date.now,
    sleep: (ms) => sleep(ms),
  }
}

/** Where portals reach the bridge: as the file says, or the settings. Throws a `ConfigError` when neither does. */
export function baseOf(
  { publicUrl }: Pick<Config, 'publicUrl'>,
  { base }: Pick<SubscriptionDocument, 'base'> = {},
): string {
  const found = base ?? publicUrl
  if (found !== undefined) return found
  throw new ConfigError(['BRIDGE_PUBLIC_URL is not set, so portals cannot be told where to post.'], {
    hint: 'Set it to the address by which portals reach the bridge, such as https://bridge.example.',
  })
}

/** The error for a portal of which only webhooks are known. */
export function memberIdMissing(domain: string): CommandError {
  return new CommandError('MEMBER_ID_MISSING', `The permanent id of ${domain} is not known.`, {
    hint: 'Install an application there, or add the webhook again with --member-id.',
  })
}

async function readText(cwd: string, file: string): Promise<string> {
  try {
    return await readFile(resolve(cwd, file), 'utf8')
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'does not exist' : 'cannot be read'
    throw new ConfigError([`The file ${file} ${why}.`], { hint: 'Check the path.', cause: error })
  }
}
