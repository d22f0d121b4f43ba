import { INSTALL_REFUSALS } from '../bridge/installs/refusals.ts'

const PAGES = [
  {
    path: '/b24/app',
    id: 'App',
    summary: "The application's own page in the frame of a portal.",
    parameters: [],
  },
  {
    path: '/b24/placements/{name}',
    id: 'Placement',
    summary: 'The page of a placement in the frame of a portal.',
    parameters: [parameter('path', 'name', 'Letters, digits, - and _.', true)],
  },
]

/** The part of the OpenAPI description about connecting portals; what is said of each stands in `docs/connecting.md`. */
export function connectingPaths(): Record<string, unknown> {
  const portal = parameter('path', 'id', 'Member id, domain or alias.', true)
  const form = { required: true, content: { 'application/x-www-form-urlencoded': { schema: OBJECT } } }
  return {
    '/oauth/start': {
      get: {
        operationId: 'startAuthorization',
        summary: 'Send a user to his portal to authorize an application.',
        parameters: [
          parameter('query', 'domain', 'Domain of the portal, as people write it.', true),
          parameter('query', 'client_id', 'The application; the only one when left out.', false),
        ],
        responses: {
          302: { description: 'To the portal, with a signed state.' },
          ...refusals([400, 403, 429]),
        },
      },
    },
    '/oauth/callback': {
      get: {
        operationId: 'finishAuthorization',
        summary: 'Where the portal sends the user back; the code is exchanged at once.',
        parameters: [
          parameter('query', 'code', 'Lives 30 seconds and works once.', true),
          parameter('query', 'state', 'As given out by /oauth/start; works once.', true),
          parameter('query', 'member_id', 'Compared with what the tokens say.', false),
          parameter('query', 'server_domain', 'One of the authorization servers allowed.', false),
        ],
        responses: { 200: page('Connected.'), ...refusals([400, 402, 403, 409, 429, 502, 503]) },
      },
    },
    '/install': {
      post: {
        operationId: 'install',
        summary: 'The installer page in the frame of a portal.',
        requestBody: form,
        responses: {
          200: page('Kept; the page calls BX24.installFinish().'),
          ...refusals([400, 402, 403, 413, 429, 502, 503]),
        },
      },
    },
    '/b24/app-events': {
      post: {
        operationId: 'takeLifeCycleEvent',
        summary: 'ONAPPINSTALL, ONAPPUPDATE and ONAPPUNINSTALL.',
        requestBody: form,
        responses: { 200: json('Kept.'), ...refusals([400, 402, 403, 404, 413, 429, 502, 503]) },
      },
    },
    '/b24/events': {
      get: {
        operationId: 'lookAtEvents',
        summary: 'Says what this address is for.',
        responses: { 200: { description: 'A line of text.', content: { 'text/plain': {} } } },
      },
      post: {
        operationId: 'takeEvent',
        summary: 'Everything that portals post when something happened; see docs/events.md.',
        requestBody: form,
        responses: { 200: json('On a disk.'), ...refusals([400, 403, 404, 413, 415, 503]) },
      },
    },
    ...Object.fromEntries(
      PAGES.map(({ path, id, summary, parameters }) => [
        path,
        {
          get: {
            operationId: `look${id}`,
            summary: `${summary} For places that post nothing.`,
            parameters,
            responses: { 200: page('The page, without anything of a portal.'), ...refusals([403, 502, 503]) },
          },
          post: {
            operationId: `open${id}`,
            summary,
            parameters,
            requestBody: form,
            responses: {
              200: page('The page; only the portal may show it in a frame.'),
              ...refusals([400, 402, 403, 404, 413, 429, 502, 503]),
            },
          },
        },
      ]),
    ),
    '/v1/portals': {
      get: {
        operationId: 'listPortals',
        summary: 'Portals in the order of their member ids.',
        security: TOKEN,
        parameters: [
          parameter('query', 'after', 'The member id behind which to go on.', false),
          parameter('query', 'limit', '100 unless given, 1000 at most.', false),
        ],
        responses: { 200: json('The portals, and `next` for `after`.') },
      },
    },
    '/v1/portals/{id}': {
      get: {
        operationId: 'showPortal',
        summary: 'A portal, its installations and the state of its tokens; secrets are "set" or "not set".',
        security: TOKEN,
        parameters: [portal],
        responses: { 200: json('The portal.'), ...refusals([404]) },
      },
      delete: {
        operationId: 'removePortal',
        summary: 'Forget a portal with everything that belongs to it.',
        security: TOKEN,
        parameters: [portal],
        responses: { 204: { description: 'Forgotten.' }, ...refusals([404]) },
      },
    },
    '/v1/portals/{id}/tokens': {
      put: {
        operationId: 'setTokens',
        summary: 'Tokens by hand; they are proven before they are kept.',
        security: TOKEN,
        parameters: [portal],
        requestBody: { required: true, content: { 'application/json': { schema: OBJECT } } },
        responses: {
          200: json('Kept, and what the self-check found.'),
          ...refusals([400, 402, 403, 404, 429, 502, 503]),
        },
      },
    },
  }
}

const OBJECT = { type: 'object' } as const
const TOKEN = [{ token: [] }, {}] as const

function refusals(statuses: readonly number[]): Record<string, unknown> {
  return Object.fromEntries(
    statuses.map((status) => {
      const codes = Object.entries(INSTALL_REFUSALS).filter(([, refusal]) => refusal.status === status)
      const schema = { $ref: '#/components/schemas/Problem' }
      const description = codes.map(([code]) => code).join(', ')
      return [status, { description, content: { 'application/json': { schema } } }]
    }),
  )
}

function parameter(where: 'path' | 'query', name: string, description: string, required: boolean) {
  return { name, in: where, required, description, schema: { type: 'string' } }
}

function json(description: string): Record<string, unknown> {
  return { description, content: { 'application/json': { schema: OBJECT } } }
}

/** For people, or as JSON for programs. */
function page(description: string): Record<string, unknown> {
  const html = { schema: { type: 'string' } }
  return { description, content: { 'text/html': html, 'application/json': { schema: OBJECT } } }
}
