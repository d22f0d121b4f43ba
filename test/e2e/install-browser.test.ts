import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CHROMIUM_FLAGS, findChromium } from '../../scripts/chromium.mjs'
import { CLIENT_ID, type Connecting, connecting, storedTokens } from '../http/connecting.ts'
import { openReceiver } from '../sandbox/receiver.ts'

const found = findChromium({ log: (line) => console.log(`Chromium: ${line}`) })
const path = 'path' in found ? found.path : undefined
const note = 'path' in found ? '' : ` (skipped: ${found.missing})`
if (path === undefined && process.env.CI) throw new Error(`Chromium is needed here:${note}`)
if (path === undefined) console.warn(`\nSKIPPED: tests in a browser${note}\n`)

describe.skipIf(path === undefined)(`in a real browser${note}`, () => {
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

  async function open(): Promise<Connecting> {
    const app = await openReceiver()
    return connecting({
      application: (bridge) => ({ installUrl: `${bridge}/install`, url: `${app.url}app`, scopes: ['crm'] }),
    })
  }

  it('the installer page in the frame of a portal is kept, and tells the portal that it is done', async () => {
    const bench = await open()
    const { page, complaints } = await openPage()
    await page.goto(`${bench.sandbox.url}/apps/install?client_id=${CLIENT_ID}`)
    // The portal opens the application itself only after BX24.installFinish().
    await page.waitForURL('**/apps/open?client_id=*', { timeout: 15_000 })
    await page.getByText('The application is installed.').waitFor()
    expect(complaints).toEqual([])
    expect(await bench.rows()).toEqual({ portals: 1, installations: 1, tokens: 1, application_tokens: 1 })
    const { accessToken = '' } = (await storedTokens(bench)) ?? {}
    const answer = await fetch(`${bench.sandbox.url}/rest/app.info?auth=${accessToken}`)
    expect(await answer.json()).toMatchObject({ result: { INSTALLED: true } })
    await page.close()
  })

  it('a refused installation is shown in the frame, and the portal goes on waiting', async () => {
    const bench = await open()
    await bench.store.db.deleteFrom('applications').execute()
    const { page } = await openPage()
    await page.goto(`${bench.sandbox.url}/apps/install?client_id=${CLIENT_ID}`)
    await page.frameLocator('iframe').getByText('is not one of those that this bridge knows').waitFor()
    expect(await page.locator('#state').textContent()).toBe('The application is being installed.')
    expect(await bench.rows()).toEqual({})
    await page.close()
  })

  it('no other site can put the finishing page into a frame', async () => {
    const bench = await open()
    const { form } = await bench.sandbox.app({ do: 'install', clientId: CLIENT_ID })
    const fields = Object.entries(form?.fields ?? {}).map(
      ([name, value]) => `<input name="${name}" value="${value.replaceAll('"', '&quot;')}">`,
    )
    const { page, complaints } = await openPage()
    await page.setContent(
      `<form method="post" action="${form?.action}" target="f">${fields.join('')}</form><iframe name="f"></iframe>`,
    )
    const answered = page.waitForResponse('**/install?**')
    await page.evaluate('document.forms[0].submit()')
    expect((await answered).status()).toBe(200)
    await expect.poll(() => complaints.join()).toContain('frame-ancestors')
    expect(await page.frameLocator('iframe').getByText('The application is installed').count()).toBe(0)
    await page.close()
  })

  it('a user who agrees on the page of the portal comes back to one that says so', async () => {
    const bench = await connecting({
      application: (bridge) => ({ redirectUri: `${bridge}/oauth/callback`, scopes: ['crm'] }),
    })
    const { page, complaints } = await openPage()
    await page.goto(`${bench.server.url}/oauth/start?domain=${encodeURIComponent(bench.sandbox.url)}`)
    await page.getByRole('button', { name: 'Allow' }).click()
    await page.getByText(`${bench.sandbox.identity().domain} is connected`).waitFor()
    expect(complaints).toEqual([])
    expect(await bench.rows()).toEqual({ portals: 1, installations: 1, tokens: 1 })
    await page.close()
  })
})
