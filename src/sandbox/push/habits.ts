/** Points of the push server on which the documentation is silent or differs, and times that a test may shorten. */
export interface PushHabits {
  /** The portal has a push server of its own, uses one that many portals share (asks for `clientId`), or has none. */
  readonly pushServer: 'personal' | 'shared' | 'none'
  /** With 5 the configuration has a `jwt`, which names the channels in place of `CHANNEL_ID`, and JSON-RPC is spoken. */
  readonly pushVersion: 4 | 5
  /** A WebSocket that names wrong channels is opened and then closed with 4010, or refused with 400 as by older servers. */
  readonly pushRefusal: 'close' | 'status'
  /** `format=json` is answered with JSON arrays, as documented; published servers do not know it. */
  readonly pushJson: boolean
  /** After a message, those of the next milliseconds wait for each other and go as one frame; 0 sends each alone. */
  readonly pushBufferMs: number
  /** How long a long-polling request waits for a message. */
  readonly pushHoldMs: number
  /** Time between two pings on a WebSocket; one that has not answered by the next is dropped. */
  readonly pushPingMs: number
  /** Connections that one channel may have; one more closes the oldest with 4029. */
  readonly pushConnections: number
}

/** The likelier choice of each. */
export const USUAL_PUSH: PushHabits = {
  pushServer: 'personal',
  pushVersion: 4,
  pushRefusal: 'close',
  pushJson: false,
  pushBufferMs: 400,
  pushHoldMs: 40_000,
  pushPingMs: 120_000,
  pushConnections: 100,
}
