import { portalsWithConnector } from '../bridge/auth-connector.ts'
import type { Foundation } from './foundation.ts'

/** The foundation for commands: their calls carry the connector of the settings, where there is one. */
export function underConnector(base: Foundation): Foundation {
  const { config, portals, now, log } = base
  const { authConnector: connector } = config
  if (connector === undefined) return base
  return { ...base, portals: portalsWithConnector({ portals, connector, now, log }) }
}
