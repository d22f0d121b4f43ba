/**
 * The library's face: a client for one Bitrix24 portal, the errors that it throws, and the types of both. The manual
 * is docs/library.md. The sandbox is a door of its own, `bitrix24-bridge/sandbox`.
 */

export type { BatchAnswer, BatchInput, Client, ClientOptions, Params } from './client/client.ts'
export { createClient, ref } from './client/client.ts'
export type { OAuthCredentialOptions, StartTokens } from './client/credentials.ts'
export { createOAuthCredential } from './client/credentials.ts'
export type { LaneStats } from './client/lane/core.ts'
export type { RequestReport } from './client/lane/lane.ts'
export type { CallSettled } from './client/lane/work.ts'
export type { ListOptions } from './client/list/pages.ts'
export type { ApplicationSecret, AuthorizationServerOptions, TokenGrant } from './client/oauth.ts'
export { parametersCredential } from './client/parameters.ts'
export type { AnswerTime, CallAnswer, CallOptions, Priority } from './model/call.ts'
export type { Authorization, Credential } from './model/credential.ts'
export {
  AuthError,
  BridgeError,
  CommandError,
  ConfigError,
  RestError,
  ThrottledError,
  TransportError,
} from './model/errors.ts'
export type { Json, JsonObject } from './model/json.ts'
export type { RequestLimit } from './model/limits.ts'
export { maskSecrets, maskWebhook, parseWebhook, type Webhook, webhookCredential } from './model/webhook.ts'
export type { Bridge, InTheNameOf, OpenBridgeOptions, PortalClient } from './open-bridge.ts'
export { openBridge } from './open-bridge.ts'
