// Writes docs/reference/*.schema.json and docs/reference/asyncapi.json from the contracts.
// Run `npm run build` first; another folder than dist can be given: node scripts/docs-contracts.mjs FOLDER
import { mkdirSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const built = resolve(process.argv[2] ?? 'dist', 'bridge/contracts/reference.js')
const { contractReference } = await import(pathToFileURL(built).href)

const folder = new URL('../docs/reference/', import.meta.url)
mkdirSync(folder, { recursive: true })
for (const [name, text] of Object.entries(contractReference())) writeFileSync(new URL(name, folder), text)
