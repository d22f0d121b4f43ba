import { isIP } from 'node:net'

/** Addresses that events come from, by list. */
export interface SenderNodes {
  readonly app: readonly string[]
  readonly world: readonly string[]
  /** The local address that requests leave from, so that one of several nodes can be played; any, unless given. */
  readonly from?: string
}

/**
 * The two lists of addresses that portals' events come from, as files: `/webhook/app.json` and
 * `/webhook/app-world.json`. The sandbox sends from this machine and says so, until told otherwise. Real portals show a new
 * node minutes before it sends.
 *
 * https://apidocs.bitrix24.com/settings/cloud-and-on-premise/network-access.html
 */
export class NodeLists {
  #nodes: SenderNodes = { app: ['127.0.0.1'], world: ['127.0.0.1'] }

  get from(): string | undefined {
    return this.#nodes.from
  }

  /** What is not given stays. */
  set(nodes: Partial<SenderNodes>): void {
    for (const list of [nodes.app, nodes.world]) {
      if (list !== undefined && !(Array.isArray(list) && list.every((node) => typeof node === 'string')))
        throw new Error('nodes are lists of addresses')
    }
    if (nodes.from !== undefined && isIP(nodes.from) === 0)
      throw new Error('from is an address of this machine')
    this.#nodes = { ...this.#nodes, ...nodes }
  }

  /** The file at a path, or `undefined` where there is none. */
  file(path: string): { readonly nodes: readonly string[] } | undefined {
    const [, world] = /^\/webhook\/app(-world)?\.json$/.exec(path) ?? [undefined, null]
    if (world === null) return undefined
    return { nodes: world === undefined ? this.#nodes.app : this.#nodes.world }
  }
}
