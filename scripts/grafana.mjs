// Writes ops/grafana/dashboard.json from the list of metrics.
// Run `npm run build` first; another folder than dist can be given: node scripts/grafana.mjs FOLDER
import { mkdirSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const built = resolve(process.argv[2] ?? 'dist', 'http', 'dashboard.js')
const { grafanaDashboard } = await import(pathToFileURL(built).href)

const folder = new URL('../ops/grafana/', import.meta.url)
mkdirSync(folder, { recursive: true })
writeFileSync(new URL('dashboard.json', folder), `${JSON.stringify(grafanaDashboard(), null, 2)}\n`)
