import { z } from 'zod'

/**
 * The words of the native contract. The checks of `native.ts` and the published JSON Schemas both come from here.
 * `null` stands for "left out" everywhere, because many serializers write it.
 */
const params = z.union([z.record(z.string(), z.unknown()), z.array(z.unknown())])

export const nativeCommandSchema = z
  .strictObject({
    portal: z
      .string()
      .min(1)
      .nullish()
      .describe(
        'The portal by its domain (example.bitrix24.com), member id or alias; the default portal when left out.',
      ),
    application: z
      .string()
      .min(1)
      .max(255)
      .nullish()
      .describe(
        'Client id of the application in whose name the portal is called; any of the portal when left out.',
      ),
    as: z
      .union([z.string().regex(/^\d{1,20}$/), z.int().min(1)])
      .nullish()
      .describe('Id of the user whose rights the calls have; the one who connected first when left out.'),
    action: z
      .enum(['call', 'list', 'batch'])
      .nullish()
      .describe(
        'call: one method; list: all rows of a list method; batch: many methods in order. Left out: batch for the method "batch", else call.',
      ),
    method: z
      .string()
      .min(1)
      .nullish()
      .describe('REST method, for example crm.deal.get. May be left out for the action batch only.'),
    params: params
      .nullish()
      .describe(
        'Parameters of the method. An array for methods that take them by position. For batch: { cmd, halt? }.',
      ),
    meta: z
      .unknown()
      .optional()
      .describe('Anything; comes back in the reply and is never sent to the portal.'),
    priority: z
      .enum(['urgent', 'normal', 'bulk'])
      .nullish()
      .describe(
        'urgent before normal before bulk; normal when left out. The header x-b24-priority says the same.',
      ),
    orderKey: z
      .string()
      .min(1)
      .max(255)
      .nullish()
      .describe(
        'Commands with the same key run one after another. The header x-b24-order-key says the same.',
      ),
    deadlineMs: z
      .int()
      .min(1)
      .nullish()
      .describe(
        'Milliseconds from arrival after which an unsent command fails with DEADLINE_EXCEEDED. The AMQP property expiration says the same.',
      ),
    api: z
      .enum(['v2', 'v3'])
      .nullish()
      .describe(
        'call: version of the REST API. Left out: v2, unless only v3 knows the method. Writes to v3 carry an Idempotency-Key.',
      ),
    verify: z
      .union([
        z.enum(['origin', 'xml_id']),
        z.strictObject({ method: z.string().min(1), params: z.record(z.string(), z.unknown()).nullish() }),
      ])
      .nullish()
      .describe(
        'call: how to find out whether a write whose answer was lost was carried out. origin and xml_id put the message id into the new object and look for it; or any list method whose answer has a row when it was.',
      ),
    reply: z
      .union([
        z.string().min(1).max(255),
        z.literal(false),
        z.strictObject({ exchange: z.string().max(255), routingKey: z.string().max(255) }),
      ])
      .nullish()
      .describe(
        'Where the reply goes: a queue, or an exchange with a routing key; false for no reply. Goes before reply_to.',
      ),
  })
  .meta({
    title: 'Native command',
    anyOf: [{ required: ['method'] }, { required: ['action'], properties: { action: { const: 'batch' } } }],
  })

/** A native command as it stands in the message. */
export type NativeCommandBody = z.infer<typeof nativeCommandSchema>

const failure = z.strictObject({
  code: z.string().describe("Stable; branch on this. The portal's own code, or ours."),
  description: z.string().describe('A sentence for people; may be localized by the portal.'),
  retryable: z.boolean().describe('The same command may succeed later unchanged.'),
  hint: z.string().optional().describe('What to do, in one sentence.'),
})

const entryErrors = z.record(
  z.string(),
  z.looseObject({ error: z.unknown(), error_description: z.unknown().optional() }),
)

export const nativeReplySchema = z
  .strictObject({
    portal: z.string().nullable().describe('The portal that was asked; null when none was found.'),
    action: z.enum(['call', 'list', 'batch']).nullable().describe('null when the command could not be read.'),
    method: z.string().nullable().describe('null when the command could not be read.'),
    outcome: z
      .enum(['done', 'failed', 'unknown'])
      .describe('done: carried out; failed: surely not; unknown: nobody can tell, do not repeat blindly.'),
    status_code: z.int().describe('HTTP status of the portal, or ours.'),
    result: z
      .unknown()
      .describe(
        'call: result of the portal; list: all rows; batch: results by name. null when there is none.',
      ),
    next: z.number().nullable().describe('call: where the next page begins.'),
    total: z.number().nullable().describe('call and list: rows in all, when the portal counted.'),
    error: failure.optional().describe('Present unless the outcome is done.'),
    time: z
      .record(z.string(), z.unknown())
      .nullable()
      .describe('call: time of the portal; batch: time of its last request.'),
    verified: z
      .literal(true)
      .optional()
      .describe('The answer was lost, and the object was found by looking it up (verify).'),
    attempts: z.int().min(0).describe('Requests that may have reached the portal.'),
    meta: z.unknown().describe('meta of the command; {} when it had none.'),
    missing: z
      .array(z.strictObject({ page: z.string(), code: z.string(), description: z.string() }))
      .optional()
      .describe('list: pages that could not be read. Present only when rows are missing.'),
    errors: entryErrors
      .optional()
      .describe('batch: commands that the portal refused, by name; {} when none.'),
    totals: z.record(z.string(), z.unknown()).optional().describe('batch: total of list methods, by name.'),
    nexts: z.record(z.string(), z.unknown()).optional().describe('batch: next of list methods, by name.'),
  })
  .meta({ title: 'Native reply' })

/** A native reply as it stands in the message. */
export type NativeReplyBody = z.infer<typeof nativeReplySchema>
