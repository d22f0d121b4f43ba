import type { Lane, LaneOptions } from '../client/lane/lane.ts'
import { createLane } from '../client/lane/lane.ts'
import type { Command } from '../model/command.ts'
import type { Credential } from '../model/credential.ts'
import { CommandError } from '../model/errors.ts'
import { type Webhook, webhookCredential } from '../model/webhook.ts'

/** A portal as a command finds it: the lane to it, and the credential to use there. */
export interface Portal {
  /** Host name; what replies and logs say. */
  readonly domain: string
  readonly lane: Lane
  readonly credential: Credential
}

/** The portals of one process: one lane each, however many credentials are used there. */
export interface Portals {
  /** The portal of a command. Throws a `CommandError` `PORTAL_UNKNOWN` or `PORTAL_MISSING` (none named, no default). */
  find(command: Pick<Command, 'portal' | 'credential'>): Portal
  /** All portals that have been used so far. */
  list(): readonly Portal[]
  /** Ends all lanes; see `Lane.close`. */
  close(graceMs: number): Promise<void>
}

/** Portals of the settings: the default one, and those whose credential comes with each message. */
export function createPortals(options: {
  readonly defaultPortal: Webhook | undefined
  readonly lane: Omit<LaneOptions, 'credential' | 'onRequest' | 'initialLevel' | 'onLevel'>
  /** Keeps the level of each portal's request counter over restarts. */
  readonly levels?: { load(domain: string): number; save(domain: string, level: number): void }
  readonly onRequest?: (domain: string, report: Parameters<NonNullable<LaneOptions['onRequest']>>[0]) => void
}): Portals {
  const { defaultPortal, onRequest, levels } = options
  const lanes = new Map<string, Lane>()
  const portals = new Map<string, Portal>()

  const open = (credential: Credential): Portal => {
    const { domain } = credential
    let lane = lanes.get(domain)
    if (lane === undefined) {
      lane = createLane({
        ...options.lane,
        credential,
        ...(levels === undefined
          ? {}
          : { initialLevel: levels.load(domain), onLevel: (level) => levels.save(domain, level) }),
        ...(onRequest === undefined ? {} : { onRequest: (report) => onRequest(domain, report) }),
      })
      lanes.set(domain, lane)
      portals.set(domain, { domain, lane, credential })
    }
    return { domain, lane, credential }
  }
  const main = defaultPortal === undefined ? undefined : open(webhookCredential(defaultPortal))

  return {
    find({ portal, credential }) {
      if (credential !== undefined) return open(webhookCredential(credential))
      if (portal === undefined || portal === 'default') {
        if (main !== undefined) return main
        throw new CommandError('PORTAL_MISSING', 'The command names no portal, and there is no default one', {
          status: 404,
          hint: 'Set BRIDGE_PORTAL to the webhook address of your portal.',
        })
      }
      if (main !== undefined && portal.toLowerCase() === main.domain) return main
      throw new CommandError(
        'PORTAL_UNKNOWN',
        `No portal is known as ${JSON.stringify(portal.slice(0, 100))}`,
        {
          status: 404,
          hint: main === undefined ? 'Set BRIDGE_PORTAL.' : `Leave portal out, or name it ${main.domain}.`,
        },
      )
    },
    list: () => [...portals.values()],
    async close(graceMs) {
      await Promise.all([...lanes.values()].map((lane) => lane.close(graceMs)))
    },
  }
}
