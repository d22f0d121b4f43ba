// A page behind a link: somebody writes /marketplace/view/CLIENT_ID/?params[deal]=7 into a chat, and whoever clicks it sees
// the deal beside the chat. The bridge finds out who that is, and asks this program for the page.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'

const port = Number(process.env.EXAMPLE_PAGES_PORT ?? 8101)
const secret = process.env.BRIDGE_PAGES_SECRET ?? 'made-up-secret-of-pages'
const bridge = `http://${process.env.BRIDGE_HTTP ?? '127.0.0.1:8000'}`
const adminToken = process.env.BRIDGE_ADMIN_TOKEN

/** What the bridge says of whoever opens the page; `undefined` when it was not the bridge that said it. */
function contextOf(token = '') {
  const [head, claims = '', signature = ''] = token.split('.')
  const right = createHmac('sha256', secret).update(`${head}.${claims}`).digest()
  const given = Buffer.from(signature, 'base64url')
  if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined
  const context = JSON.parse(Buffer.from(claims, 'base64url').toString())
  return context.exp * 1000 > Date.now() ? context : undefined
}

/**
 * What the user who looks may know of the deal. Anybody may change the number in the link, so the portal is asked with the
 * rights of this user.
 */
async function told({ user_id, member_id, application, options }) {
  if (user_id === null) return 'Only users of the application may see it.'
  const command = {
    method: 'crm.deal.get',
    params: { id: options.deal ?? '' },
    portal: member_id,
    application,
    as: user_id,
    // A person waits, and the bridge gives up after ten seconds.
    priority: 'urgent',
    deadlineMs: 8000,
  }
  const authorization = adminToken && { authorization: `Bearer ${adminToken}` }
  const response = await fetch(`${bridge}/v1/commands`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...authorization },
    body: JSON.stringify(command),
  })
  const { outcome, result: deal, error } = await response.json()
  if (outcome === 'done') return `${deal.TITLE}, ${deal.STAGE_ID}`
  return error?.description ?? `The bridge answered ${response.status}.`
}

const shown = (text) => String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

createServer(async (request, response) => {
  const context = contextOf(request.headers['x-b24-context'])
  request.resume()
  if (context === undefined) return response.writeHead(403).end()
  const said = await told(context).catch(({ message }) => message)
  console.log(`user ${context.user_id}, deal ${context.options.deal}: ${said}`)
  response.setHeader('content-type', 'text/html; charset=utf-8')
  response.end(`<!doctype html>\n<h1>Deal ${shown(context.options.deal)}</h1>\n<p>${shown(said)}</p>\n`)
}).listen(port, '127.0.0.1', () => console.log('The page behind the link listens.'))
