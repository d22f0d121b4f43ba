import type { Json, JsonObject } from '../../model/json.ts'
import { isoTime } from '../time.ts'
import { POLLING_PATH, SOCKET_PATH } from './connect.ts'
import type { ChannelOwner, PortalPush } from './portal-push.ts'
import { makeJwt, publicSignature, signPublicId } from './tokens.ts'

const DAY_SECONDS = 86_400
const JWT_SECONDS = 43_200

/**
 * What an application is told about its channels. A portal has addresses for pages with and without TLS; here both
 * are the one that is really served.
 *
 * https://apidocs.bitrix24.com/settings/interactivity/push-and-pull/pull-application-config-get.html
 */
export function configOf(push: PortalPush, owner: ChannelOwner, portalUrl: string): Json {
  const { habits, key, clientId } = push
  const own = push.channels.of(owner.clientId, owner.userId)
  const shared = push.channels.of(owner.clientId, 0)
  const publicId = own.publicId ?? ''
  const nowSecond = Math.floor(push.now() / 1000)
  const withToken = habits.pushVersion >= 5
  const exp = nowSecond + (withToken ? JWT_SECONDS : DAY_SECONDS)
  const claims = {
    iss: clientId,
    iat: nowSecond,
    exp,
    sub: String(owner.userId),
    chan: [shared.id, own.id, publicId].join(','),
  }
  return {
    server: serverOf(push, portalUrl),
    api: { revision_web: 19, revision_mobile: 3 },
    channels: {
      shared: { ...push.shown(shared), type: 'shared' },
      private: { ...push.shown(own), public_id: signPublicId(key, publicId), type: 'private' },
    },
    ...(habits.pushServer === 'shared' ? { clientId } : {}),
    ...(withToken ? { jwt: makeJwt(key, claims) } : {}),
    exp,
    publicChannels: {
      [owner.userId]: {
        user_id: owner.userId,
        public_id: publicId,
        signature: publicSignature(key, publicId),
        start: isoTime(own.startMs),
        end: isoTime(own.endMs),
      },
    },
  }
}

function serverOf({ habits, startMs }: PortalPush, portalUrl: string): JsonObject {
  const polling = `${portalUrl}${POLLING_PATH}`
  const socket = `${portalUrl.replace(/^http/, 'ws')}${SOCKET_PATH}`
  const publish = `${portalUrl}/pub/`
  return {
    version: habits.pushVersion,
    server_enabled: true,
    mode: habits.pushServer,
    hostname: new URL(portalUrl).host,
    long_polling: polling,
    long_pooling_secure: polling,
    websocket_enabled: true,
    websocket: socket,
    websocket_secure: socket,
    publish_enabled: true,
    publish,
    publish_secure: publish,
    config_timestamp: Math.floor(startMs / 1000),
  }
}
