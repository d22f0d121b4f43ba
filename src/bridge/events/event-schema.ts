import { z } from 'zod'

const KINDS = ['event', 'offline', 'push', 'app', 'bot', 'connector', 'robot', 'message', 'workflow'] as const

const anyObject = z.record(z.string(), z.unknown())
const moment = z.iso.datetime().nullable()

/** The body of an event message; see `docs/events.md`. */
export const eventSchema = z
  .strictObject({
    kind: z.enum(KINDS).describe('By which way it came.'),
    portal: z.strictObject({
      member_id: z.string().describe('Permanent id of the portal.'),
      domain: z.string().describe('Its host name today.'),
    }),
    application: z.string().nullable().describe('Client id; null for an outgoing webhook.'),
    event: z.string().describe('What happened; for robots and messages the code of the handler.'),
    data: anyObject.describe('What the portal says of it; values of form posts are text.'),
    actor: z.strictObject({ user_id: z.string() }).nullable().describe('Who caused it, where that is known.'),
    ts: moment.describe('When it happened or was queued by the portal.'),
    received: z.iso.datetime().describe('When the bridge had it.'),
    key: z.string().describe('The same for every delivery of the same happening; also the message_id.'),
    synthetic: z.boolean().describe('The portal never told it; the bridge found it by looking.'),
    record: anyObject.optional().describe('The changed record as read right after, where that is asked for.'),
    record_error: z.string().optional().describe('Why there is no record although it is asked for.'),
    raw: anyObject.optional().describe('All fields as posted, without tokens, where that is asked for.'),
  })
  .meta({ title: 'Event of a portal' })
