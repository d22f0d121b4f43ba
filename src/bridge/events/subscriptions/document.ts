import { z } from 'zod'

/** Bytes of a file at most; a portal takes a few hundred handlers. */
export const MAX_FILE_BYTES = 1024 * 1024

/** https://apidocs.bitrix24.com/api-reference/events/event-bind.html */
const LONGEST_URL = 255

/** The end of a sentence about a value of the wrong type. */
const must = (what: string): { error: (issue: { readonly input?: unknown }) => string } => {
  return { error: ({ input }) => (input === undefined ? 'is missing' : `must be ${what}`) }
}

const text = z.string(must('a text')).trim().min(1, { error: 'must not be empty' })
const userId = z.int({ error: 'must be the id of a user' }).positive({ error: 'must be the id of a user' })
const flag = z.boolean({ error: 'must be true or false' })
const eventName = text
  .regex(/^on\w{1,98}$/i, { error: 'must be the name of an event, such as ONCRMDEALUPDATE' })
  .transform((name) => name.toUpperCase())
const code = text.regex(/^[\w.-]{1,100}$/, { error: 'must consist of letters, digits, dots, - and _' })
const url = text.max(LONGEST_URL, { error: `must have at most ${LONGEST_URL} characters` }).refine(isPublic, {
  error: 'must be an https:// address without a user name (http:// only on this machine)',
})

/** One text, or one a language: `{ en: Chairs, de: Stühle }`. */
const words = z.union(
  [text, z.record(z.string().regex(/^[a-z]{2}$/), text)],
  must('a text, or texts by language such as { en: Chairs, de: Stühle }'),
)
const settings = z.record(z.string(), z.json(), { error: 'must be names with values' })

/** A page of ours under `/b24/placements/`, or an address of yours. */
const where = {
  page: text
    .regex(/^[a-z\d][a-z\d_-]{0,63}$/i, { error: 'must be a name of letters, digits, - and _' })
    .optional(),
  url: url.optional(),
}

const event = named(
  z
    .strictObject({
      name: eventName,
      user: userId.optional(),
      minTimeout: z
        .int({ error: 'must be a whole number of seconds' })
        .min(0, { error: 'must not be negative' })
        .optional(),
    })
    .refine(({ name, minTimeout }) => minTimeout === undefined || name === 'ONOFFLINEEVENT', {
      error: 'is known to ONOFFLINEEVENT only',
      path: ['minTimeout'],
    })
    .refine(({ name }) => !name.startsWith('ONIMBOTV2'), {
      error: 'is bound by the portal itself when a bot is registered; list the bot under bots',
      path: ['name'],
    }),
)

const offline = named(
  z
    .strictObject({
      name: eventName,
      connector: text.max(50, { error: 'must have at most 50 characters' }).optional(),
    })
    .refine(({ name }) => name !== 'ONOFFLINEEVENT', {
      error: 'is told online; list it under events',
      path: ['name'],
    }),
)

const sender = z.strictObject({ code, name: words, description: words.optional() })

const robot = z.strictObject({
  code,
  name: words,
  description: words.optional(),
  user: userId.optional(),
  useSubscription: flag.default(false),
  properties: settings.optional(),
  returnProperties: settings.optional(),
  documentType: z
    .array(text)
    .length(3, { error: 'must be three texts, such as [crm, CCrmDocumentDeal, DEAL]' })
    .optional(),
  filter: settings.optional(),
  settingsPage: where.page,
})

const placement = oneAddress(
  z.strictObject({
    placement: text
      .regex(/^\w{1,100}$/, { error: 'must be the code of a placement, such as CRM_DEAL_DETAIL_TAB' })
      .transform((name) => name.toUpperCase()),
    ...where,
    title: text.optional(),
    description: text.optional(),
    group: text.optional(),
    languages: z
      .record(
        z.string(),
        z.strictObject({
          title: text.optional(),
          description: text.optional(),
          group: text.optional(),
        }),
      )
      .optional(),
    options: settings.optional(),
    user: userId.optional(),
  }),
)

const userFieldType = oneAddress(
  z.strictObject({
    id: text.regex(/^[a-z\d_]{1,50}$/i, { error: 'must consist of letters, digits and _' }),
    ...where,
    title: text,
    description: text.optional(),
    options: settings.optional(),
  }),
)

const bot = z
  .strictObject({
    code,
    version: z.union([z.literal(1), z.literal(2)], { error: 'must be 1 or 2' }).default(2),
    name: text,
    type: text.optional(),
    openline: flag.optional(),
    properties: settings.optional(),
    fetch: flag.optional(),
  })
  .refine(({ version, fetch }) => version === 2 || fetch !== true, {
    error: 'is known to bots of version 2 only',
    path: ['fetch'],
  })

const schema = z
  .strictObject({
    portals: z.union(
      [z.literal('*'), z.array(text).min(1)],
      must("'*', or a list of member ids, domains or aliases"),
    ),
    application: text.optional(),
    base: url.optional(),
    events: z.array(event, must('a list')).default([]),
    offline: z.array(offline, must('a list')).default([]),
    senders: z.array(sender, must('a list')).default([]),
    robots: z.array(robot, must('a list')).default([]),
    activities: z.array(robot, must('a list')).default([]),
    placements: z.array(placement, must('a list')).default([]),
    userFieldTypes: z.array(userFieldType, must('a list')).default([]),
    bots: z.array(bot, must('a list')).default([]),
  })
  .superRefine((document, context) => {
    for (const [list, keys] of Object.entries(identities(document))) {
      for (const [index, key] of keys.entries()) {
        if (keys.indexOf(key) < index)
          context.addIssue({ code: 'custom', path: [list, index], message: 'stands here twice' })
      }
    }
  })

/** What should be bound on which portals, as a file says it. Holds no secret. */
export type SubscriptionDocument = z.output<typeof schema>

export type RobotEntry = SubscriptionDocument['robots'][number]
export type PlacementEntry = SubscriptionDocument['placements'][number]

/** A fault of a document: where it is, and the end of a sentence that begins with the place. */
export interface DocumentFault {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

/** The document in a value, or all its faults; unknown names are faults of their own. */
export function readDocument(
  value: unknown,
): { readonly document: SubscriptionDocument } | { readonly faults: readonly DocumentFault[] } {
  const { success, data, error } = schema.safeParse(value)
  if (success) return { document: data }
  return {
    faults: error.issues.flatMap((issue): DocumentFault[] => {
      if (issue.code !== 'unrecognized_keys') return [{ path: issue.path, message: sentence(issue.message) }]
      return issue.keys.map((key) => ({ path: [...issue.path, key], message: 'is not known here' }))
    }),
  }
}

/** What the schema library says of itself, in our words. */
function sentence(message: string): string {
  if (/expected object, received/.test(message)) return 'must be names with values'
  return /^(?:must|is|stands|needs|names) /.test(message) ? message : `is wrong: ${message}`
}

/** A list of texts is a list of objects with a name. */
function named<T extends z.ZodType>(object: T): z.ZodPreprocess<T> {
  return z.preprocess((value) => (typeof value === 'string' ? { name: value } : value), object)
}

function oneAddress<T extends z.ZodType<{ page?: string | undefined; url?: string | undefined }>>(
  object: T,
): T {
  return object.refine(({ page, url }) => (page === undefined) !== (url === undefined), {
    error: 'needs a page of the bridge, or a url: one of the two',
  }) as T
}

/** What may stand in a list only once. */
function identities(
  document: {
    readonly [list in 'events' | 'offline' | 'placements' | 'userFieldTypes' | CodeList]: readonly Entry[]
  },
): Readonly<Record<string, readonly string[]>> {
  const byCode = ({ code }: Entry): string => `${code}`.toLowerCase()
  return {
    events: document.events.map(({ name, user = 0 }) => `${name} ${user}`),
    offline: document.offline.map(({ name, connector = '' }) => `${name} ${connector}`),
    placements: document.placements.map((one) =>
      [one.placement, one.page ?? '', one.url ?? '', one.user ?? 0].join(' '),
    ),
    userFieldTypes: document.userFieldTypes.map(({ id }) => `${id}`.toLowerCase()),
    senders: document.senders.map(byCode),
    robots: document.robots.map(byCode),
    activities: document.activities.map(byCode),
    bots: document.bots.map(byCode),
  }
}

type CodeList = 'senders' | 'robots' | 'activities' | 'bots'
/** The members that tell entries apart. */
interface Entry {
  readonly name?: unknown
  readonly code?: unknown
  readonly id?: unknown
  readonly user?: unknown
  readonly connector?: unknown
  readonly placement?: unknown
  readonly page?: unknown
  readonly url?: unknown
}

/** Portals post to https; a sandbox on this machine takes anything. */
function isPublic(address: string): boolean {
  if (!URL.canParse(address)) return false
  const { protocol, hostname, username, password, hash } = new URL(address)
  const here = hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname)
  return (protocol === 'https:' || (protocol === 'http:' && here)) && `${username}${password}${hash}` === ''
}
