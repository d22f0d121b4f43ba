import { z } from 'zod'

/**
 * The words of the contract bitrix24-bridge, for the published JSON Schemas and for tests. The reader itself is more
 * lenient, as the older program was: falsy parts count as left out and other keys are ignored.
 */
export const bridgeCommandSchema = z
  .looseObject({
    action: z
      .string()
      .nullish()
      .describe('list: all rows; batch: the commands in params.cmd; anything else: one call ("default").'),
    method: z.string().min(1).describe('REST method, for example crm.product.list.'),
    params: z
      .union([z.record(z.string(), z.unknown()), z.array(z.unknown())])
      .nullish()
      .describe('Parameters of the method. For batch: { cmd, halt? }.'),
    meta: z.unknown().optional().describe('Anything; comes back in the reply. Falsy values come back as {}.'),
  })
  .meta({ title: 'Command of bitrix24-bridge' })

const element = z.strictObject({
  action: z.enum(['default', 'list', 'batch']).describe('The action that was carried out.'),
  method: z.unknown().describe('As sent; null when there was none.'),
  params: z.unknown().describe('As sent; list: without start and with select; batch: without cmd.'),
  result: z
    .array(z.unknown())
    .describe(
      'default: the whole body of the portal; list: all rows; batch: the whole body of one batch request.',
    ),
  status_code: z.int(),
  next: z.unknown(),
  total: z.unknown(),
  meta: z.unknown(),
  errors: z
    .array(z.strictObject({ page: z.string(), code: z.string(), description: z.string() }))
    .optional()
    .describe('list: pages that could not be read. Not in strict mode.'),
  error: z
    .strictObject({ code: z.string(), description: z.string() })
    .optional()
    .describe('Why a list is not whole, or why there is no JSON of the portal. Not in strict mode.'),
  outcome: z
    .enum(['failed', 'unknown'])
    .optional()
    .describe(
      'Only for errors that the portal did not send. unknown: do not repeat blindly. Not in strict mode.',
    ),
})

export const bridgeReplySchema = z
  .strictObject({
    entity: z.string().describe('The method without its last word; "default" when there was no method.'),
    result: z.union([z.array(element), element]).describe('An array, unless the operator set many to false.'),
  })
  .meta({ title: 'Reply of bitrix24-bridge' })
