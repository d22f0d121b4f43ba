// Writes docs/settings.md and .env.example from the list of settings.
// Run `npm run build` first; another folder than dist can be given: node scripts/docs-settings.mjs FOLDER
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const built = resolve(process.argv[2] ?? 'dist', 'config/reference.js')
const { envExample, settingsPage } = await import(pathToFileURL(built).href)

const root = new URL('../', import.meta.url)
writeFileSync(new URL('docs/settings.md', root), settingsPage())
writeFileSync(new URL('.env.example', root), envExample())
