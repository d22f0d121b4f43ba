import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SubscriptionDocument } from '../bridge/events/subscriptions/document.ts'
import { createRebinder, type Rebinder } from '../bridge/events/subscriptions/rebind.ts'
import { parseSubscriptions } from '../bridge/events/subscriptions/yaml.ts'
import type { Config } from '../config/config.ts'
import { ConfigError } from '../model/errors.ts'
import { subscriptionRecords } from '../stores/subscriptions.ts'
import type { Foundation } from './foundation.ts'

/** What the file of the settings says; `undefined` without one. Rejects with a `ConfigError` that names each fault. */
export async function readSubscriptions({
  subscriptions: file,
  publicUrl,
}: Pick<Config, 'subscriptions' | 'publicUrl'>): Promise<SubscriptionDocument | undefined> {
  if (file === undefined) return undefined
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new ConfigError([`BRIDGE_SUBSCRIPTIONS names ${file}, which cannot be read; check the path.`], {
      cause: error,
    })
  })
  const document = parseSubscriptions(text, file)
  if (document.base === undefined && publicUrl === undefined)
    throw new ConfigError([
      'BRIDGE_SUBSCRIPTIONS needs BRIDGE_PUBLIC_URL; set it to the address by which portals reach the bridge.',
    ])
  return document
}

/** Keeps subscriptions as they were applied last: at start, and after installations. Does nothing before `start`. */
export function createSubscriptions(
  base: Foundation,
  document: SubscriptionDocument | undefined,
  onOfflineChanged: (memberId: string, clientId: string) => void,
): Rebinder {
  const { portals, store, secrets, config, log, now, newId, closing } = base
  const rebinder = createRebinder({
    portals,
    store: subscriptionRecords(store, newId),
    sign: secrets.fingerprint,
    onOfflineChanged,
    now,
    // A process that stops need not wait for a later try.
    sleep: (ms) => sleep(ms, undefined, { ref: false }),
    ...(document === undefined ? {} : { document }),
    ...(config.publicUrl === undefined ? {} : { base: config.publicUrl }),
    log,
  })
  closing.push(() => rebinder.close())
  return rebinder
}
