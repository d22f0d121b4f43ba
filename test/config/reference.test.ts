import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { envExample, settingsPage } from '../../src/config/reference.ts'

const page = (name: string): string => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')

it('keeps docs/settings.md as the list of settings says; otherwise run `npm run build && node scripts/docs-settings.mjs`', () => {
  expect(page('docs/settings.md')).toBe(settingsPage())
})

it('keeps .env.example as the list of settings says; otherwise run `npm run build && node scripts/docs-settings.mjs`', () => {
  expect(page('.env.example')).toBe(envExample())
})
