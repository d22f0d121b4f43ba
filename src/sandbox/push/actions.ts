import type { Json } from '../../model/json.ts'
import { OWN_APPLICATION } from '../oauth/applications.ts'
import type { ConnectionCard } from './connection.ts'
import type { ChannelOwner, PortalPush } from './portal-push.ts'
import type { PushConnect, PushNotification } from './record.ts'

/**
 * Something that a portal, its push server or the network does.
 *
 * | `do` | means |
 * | --- | --- |
 * | `send` | publishes a message on a user's channel, or with no `userId` on the one shared by all users |
 * | `cut` | ends all connections without a word, or closes WebSockets with `code` and `reason` |
 * | `silence` | those that are connected hear nothing any more, no ping and no end either; new ones are served |
 * | `refuse` | the next `times` (1) connects are answered with `status` (502), or reset with 0 |
 * | `restart` | tells `server_restart` on all channels and ends all connections |
 * | `expire-channel` | a channel gets a successor before its time and is told so, with `action` `get_config` or `reconnect` |
 * | `expire-config` | tells `config_expire` on all channels |
 *
 * An action without `clientId` is about the application that every portal has.
 */
export type PushAction =
  | {
      readonly do: 'send'
      readonly clientId?: string
      readonly userId?: number
      readonly moduleId?: string
      readonly command: string
      readonly params?: Json
      /** Seconds that it is kept; a day unless given. */
      readonly expiry?: number
    }
  | { readonly do: 'cut'; readonly code?: number; readonly reason?: string }
  | { readonly do: 'silence' | 'restart' | 'expire-config' }
  | { readonly do: 'refuse'; readonly times?: number; readonly status?: number }
  | {
      readonly do: 'expire-channel'
      readonly clientId?: string
      readonly userId?: number
      readonly action?: 'get_config' | 'reconnect'
    }

/** What came of an action: the `mid` of the message that it sent, if it sent one. */
export interface PushOutcome {
  readonly mid?: string
}

/** An open connection and what it asked for. */
export interface OpenConnection extends ConnectionCard {
  readonly silent: boolean
  /** By JSON-RPC: the last message that the client has confirmed. */
  readonly confirmed?: string
}

/** Who listens to a portal's push server, oldest first, and what has happened there. */
export interface PushState {
  /** Open connections and what they asked for. */
  readonly connections: readonly OpenConnection[]
  /** Attempts to connect, refused ones included. */
  readonly connects: readonly PushConnect[]
  /** Mobile notifications that applications have sent. */
  readonly notifications: readonly PushNotification[]
}

/** Carries out an action; throws when it is not possible. */
export function actPush(push: PortalPush, action: PushAction): PushOutcome {
  switch (action.do) {
    case 'send': {
      const { moduleId = 'application', command, params = [], expiry } = action
      if (typeof command !== 'string') throw new Error('a message has a command')
      return midOf(
        push.publish([ownerOf(action)], {
          moduleId,
          command,
          params,
          ...(expiry !== undefined && { expiry }),
        }),
      )
    }
    case 'cut':
      return cut(push, action)
    case 'silence':
      for (const connection of push.connections.all()) connection.silence()
      return {}
    case 'refuse':
      push.record.refuse(action.times ?? 1, action.status ?? 502)
      return {}
    case 'restart':
      return restart(push)
    case 'expire-channel':
      return expireChannel(push, ownerOf(action), action.action ?? 'get_config')
    case 'expire-config':
      return midOf(tellAll(push, 'config_expire'))
    default:
      throw new Error('no such action')
  }
}

/** The state of a portal's push server now. */
export function pushState({ connections, record }: PortalPush): PushState {
  return {
    connections: connections.all().map(({ card, silent, confirmed }) => ({
      ...card,
      silent,
      ...(confirmed === undefined ? {} : { confirmed }),
    })),
    connects: [...record.connects],
    notifications: [...record.notifications],
  }
}

/** A refusal of long polling is written as one of a WebSocket. */
function cut(push: PortalPush, { code, reason = '' }: { code?: number; reason?: string }): PushOutcome {
  push.connections.endAll((connection) => {
    if (code === undefined) connection.drop()
    else connection.end({ code, text: reason })
  })
  return {}
}

/** Connections end when the message is surely on its way. */
function restart(push: PortalPush): PushOutcome {
  const message = tellAll(push, 'server_restart')
  setTimeout(() => push.close(), push.habits.pushBufferMs + 50).unref()
  return midOf(message)
}

function expireChannel(
  push: PortalPush,
  owner: ChannelOwner,
  action: 'get_config' | 'reconnect',
): PushOutcome {
  const replaced = push.channels.replace(owner.clientId, owner.userId)
  if (replaced === undefined) throw new Error('nobody has asked for this channel yet')
  return midOf(push.tellExpired(replaced.old, replaced.next, action))
}

function tellAll(push: PortalPush, command: string) {
  return push.publishOn(push.channels.ids(), { moduleId: 'pull', command, params: {}, expiry: 0 })
}

function ownerOf(action: { readonly clientId?: string; readonly userId?: number }): ChannelOwner {
  return { clientId: action.clientId ?? OWN_APPLICATION, userId: action.userId ?? 0 }
}

function midOf({ mid }: { readonly mid: string }): PushOutcome {
  return { mid }
}
