// Writes docs/metrics.md and docs/reference/openapi.json from the code.
// Run `npm run build` first; another folder than dist can be given: node scripts/docs-http.mjs FOLDER
import { mkdirSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const built = (file) => import(pathToFileURL(resolve(process.argv[2] ?? 'dist', 'http', file)).href)
const { metricsPage } = await built('metrics-page.js')
const { openApi } = await built('openapi.js')

const root = new URL('../', import.meta.url)
mkdirSync(new URL('docs/reference/', root), { recursive: true })
writeFileSync(new URL('docs/metrics.md', root), metricsPage())
writeFileSync(new URL('docs/reference/openapi.json', root), `${JSON.stringify(openApi(), null, 2)}\n`)
