// A type of user fields: a page that shows the colour of a field, and lets people choose another one. The portal puts it
// into its cards; the bridge finds out who looks at it where, and asks this program for the page.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'

const port = Number(process.env.EXAMPLE_PAGES_PORT ?? 8100)
const secret = process.env.BRIDGE_PAGES_SECRET ?? 'made-up-secret-of-pages'
// The library by which pages speak with the portal; that of real portals is https://api.bitrix24.com/api/v1/.
const bx24 = process.env.EXAMPLE_BX24 ?? 'http://127.0.0.1:9000/__sandbox/bx24.js'

/** What the bridge says of whoever opens the page; `undefined` when it was not the bridge that said it. */
function contextOf(token = '') {
  const [head, claims = '', signature = ''] = token.split('.')
  const right = createHmac('sha256', secret).update(`${head}.${claims}`).digest()
  const given = Buffer.from(signature, 'base64url')
  if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined
  const context = JSON.parse(Buffer.from(claims, 'base64url').toString())
  return context.exp * 1000 > Date.now() ? context : undefined
}

const COLOURS = ['red', 'green', 'blue']

/** Whatever stands in a field was written by somebody: only what we know comes into the page. */
const colourIn = (value) => COLOURS.find((colour) => colour === value) ?? 'none'

const sample = (colour) =>
  `<span style="background: ${colour === 'none' ? 'transparent' : colour}">&emsp;</span> ${colour}`

const chooser = (chosen) => `<select>
  ${['none', ...COLOURS].map((colour) => `<option${colour === chosen ? ' selected' : ''}>${colour}</option>`).join('')}
</select>
<script src="${bx24}"></script>
<script>
  BX24.init(() => {
    const select = document.querySelector('select')
    // The portal keeps the value when the form around the field is saved.
    select.onchange = () => BX24.placement.call('setValue', select.value === 'none' ? '' : select.value)
    BX24.fitWindow()
  })
</script>`

createServer((request, response) => {
  const context = contextOf(request.headers['x-b24-context'])
  request.resume()
  if (context === undefined) return response.writeHead(403).end()
  const { MODE, ENTITY_ID, ENTITY_VALUE_ID, FIELD_NAME, VALUE } = context.options
  const colour = colourIn(VALUE)
  console.log(`user ${context.user_id}, ${ENTITY_ID} ${ENTITY_VALUE_ID}, ${FIELD_NAME}: ${MODE} ${colour}`)
  response.setHeader('content-type', 'text/html; charset=utf-8')
  response.end(`<!doctype html>\n${MODE === 'edit' ? chooser(colour) : sample(colour)}\n`)
}).listen(port, '127.0.0.1', () => console.log('The page of the field listens.'))
