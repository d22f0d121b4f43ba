import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { CHROMIUM_FLAGS, findChromium } from '../../scripts/chromium.mjs'
import { CLIENT_ID, type Connecting, type ConnectingOptions, connecting } from '../http/connecting.ts'

const found = findChromium({ log: (line) => console.log(`Chromium: ${line}`) })
const path = 'path' in found ? found.path : undefined
const note = 'path' in found ? '' : ` (skipped: ${found.missing})`
if (path === undefined && process.env.CI) throw new Error(`Chromium is needed here:${note}`)
if (path === undefined) console.warn(`\nSKIPPED: tests in a browser${note}\n`)

const PLACEMENT = 'CRM_DEAL_DETAIL_TAB'

describe.skipIf(path === undefined)(`pages of placements in a real browser${note}`, () => {
  let browser: Browser

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: path as string, args: CHROMIUM_FLAGS })
  })

  afterAll(() => browser?.close())

  /** A page that remembers what the browser complained about. */
  async function openPage(): Promise<{ page: Page; complaints: string[] }> {
    const page = await browser.newPage()
    const complaints: string[] = []
    page.on('console', (line) => {
      // Browsers ask every site for an icon.
      if (line.type() === 'error' && !line.location().url.endsWith('/favicon.ico'))
        complaints.push(line.text())
    })
    page.on('pageerror', (error) => complaints.push(error.message))
    return { page, complaints }
  }

  /** An application on a portal, with the page `deal-tab` at its place. */
  async function placed(options: ConnectingOptions = {}): Promise<{ bench: Connecting; open: string }> {
    const bench = await connecting({
      ...options,
      application: (bridge) => ({
        installUrl: `${bridge}/install`,
        url: `${bridge}/b24/app`,
        scopes: ['crm', 'placement'],
      }),
    })
    const { sandbox, server } = bench
    const { form } = await sandbox.app({ do: 'install', clientId: CLIENT_ID })
    await bench.submit(form!.action, form!.fields)
    await sandbox.app({ do: 'finish', clientId: CLIENT_ID })
    const { token } = await sandbox.app({ do: 'token', clientId: CLIENT_ID })
    const params = { PLACEMENT, HANDLER: `${server.url}/b24/placements/deal-tab`, auth: token!.access_token }
    const bound = await fetch(`${sandbox.url}/rest/placement.bind?${new URLSearchParams(params)}`)
    expect(await bound.json()).toMatchObject({ result: true })
    const place = new URLSearchParams({
      client_id: CLIENT_ID,
      placement: PLACEMENT,
      options: '{"ID":"7"}',
      user: '2',
    })
    return { bench, open: `${sandbox.url}/apps/open?${place}` }
  }

  it('the page is shown in the frame of the portal and works there, without a complaint', async () => {
    const { bench, open } = await placed()
    const { page, complaints } = await openPage()
    await page.goto(open)
    const frame = page.frameLocator('iframe')
    await frame.locator('#user_id').waitFor()
    expect(await frame.locator('#user_id').textContent()).toBe('2')
    expect(await frame.locator('#placement').textContent()).toBe(PLACEMENT)
    expect(JSON.parse((await frame.locator('#options').textContent()) ?? '')).toMatchObject({ ID: '7' })
    await frame.locator('body[data-ready=yes]').waitFor()
    expect(complaints).toEqual([])
    expect(await page.context().cookies(bench.server.url)).toEqual([])
    await page.close()
  })

  it('a page of the folder runs the scripts that have the nonce, and no others', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'b24-pages-'))
    writeFileSync(
      join(folder, 'deal-tab.html'),
      `<!doctype html><p id="who"></p><p id="evil"></p>
<script nonce="{{nonce}}" src="{{bx24}}"></script>
<script nonce="{{nonce}}" type="application/json" id="context">{{context}}</script>
<script nonce="{{nonce}}">
  const context = JSON.parse(document.getElementById('context').textContent)
  BX24.init(() => { document.getElementById('who').textContent = 'user ' + context.user_id + ', deal ' + context.options.ID })
</script>
<script>document.getElementById('evil').textContent = 'ran'</script>`,
    )
    const { open } = await placed({ pages: { folder } })
    const { page, complaints } = await openPage()
    await page.goto(open)
    const frame = page.frameLocator('iframe')
    await frame.getByText('user 2, deal 7').waitFor()
    expect(await frame.locator('#evil').textContent()).toBe('')
    expect(complaints).toHaveLength(1)
    expect(complaints[0]).toContain('script-src')
    await page.close()
  })

  it('examples/colour-field.mjs hands the colour that is chosen back to the portal', async () => {
    const secret = 'made-up-secret-of-pages'
    const port = await freePort()
    const { bench } = await placed({
      pages: { addresses: { colour: `http://127.0.0.1:${port}/` }, secret },
    })
    const { sandbox, server } = bench
    const program = spawn(process.execPath, ['examples/colour-field.mjs'], {
      env: {
        EXAMPLE_PAGES_PORT: String(port),
        EXAMPLE_BX24: `${sandbox.url}/__sandbox/bx24.js`,
        BRIDGE_PAGES_SECRET: secret,
      },
    })
    onTestFinished(() => void program.kill())
    await once(program.stdout, 'data')
    const { token } = await sandbox.app({ do: 'token', clientId: CLIENT_ID })
    const handler = `${server.url}/b24/placements/colour`
    const type = { USER_TYPE_ID: 'c', HANDLER: handler, auth: token!.access_token }
    const added = await fetch(`${sandbox.url}/rest/userfieldtype.add?${new URLSearchParams(type)}`)
    expect(await added.json()).toMatchObject({ result: true })

    const { page, complaints } = await openPage()
    await page.goto(`${sandbox.url}/apps/open?client_id=${CLIENT_ID}`)
    await page.getByRole('button', { name: 'USERFIELD_TYPE' }).click()
    const select = page.frameLocator('iframe').locator('select')
    await select.waitFor()
    await expect
      .poll(async () => {
        await select.selectOption('none')
        await select.selectOption('green')
        return sandbox.work().fieldValues
      })
      .toMatchObject([{ entity: 'CRM_DEAL', id: '7', field: 'UF_CRM_1', value: 'green' }])
    expect(complaints).toEqual([])
    await page.close()
  })

  it('no other site can put the page of a user into a frame', async () => {
    const { bench } = await placed()
    const { form } = await bench.sandbox.app({ do: 'open', clientId: CLIENT_ID, placement: PLACEMENT })
    const fields = Object.entries(form?.fields ?? {}).map(
      ([name, value]) => `<input name="${name}" value="${value.replaceAll('"', '&quot;')}">`,
    )
    const { page, complaints } = await openPage()
    await page.setContent(
      `<form method="post" action="${form?.action}" target="f">${fields.join('')}</form><iframe name="f"></iframe>`,
    )
    const answered = page.waitForResponse('**/b24/placements/deal-tab?**')
    await page.evaluate('document.forms[0].submit()')
    expect((await answered).status()).toBe(200)
    await expect.poll(() => complaints.join()).toContain('frame-ancestors')
    expect(await page.frameLocator('iframe').locator('#user_id').count()).toBe(0)
    await page.close()
  })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}
