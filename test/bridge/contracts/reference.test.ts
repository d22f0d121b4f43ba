import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { createBitrix24BridgeContract } from '../../../src/bridge/contracts/bitrix24-bridge.ts'
import {
  bridgeCommandSchema,
  bridgeReplySchema,
} from '../../../src/bridge/contracts/bitrix24-bridge-schema.ts'
import { createNativeContract } from '../../../src/bridge/contracts/native.ts'
import { nativeCommandSchema, nativeReplySchema } from '../../../src/bridge/contracts/native-schema.ts'
import { contractReference } from '../../../src/bridge/contracts/reference.ts'
import { message, refusal } from './support.ts'

const docs = new URL('../../../docs/', import.meta.url)
const read = (name: string): string => readFileSync(new URL(name, docs), 'utf8')

describe('the published description', () => {
  const reference = contractReference()

  test.each(Object.keys(reference))('docs/reference/%s is what the contracts say', (name) => {
    // To write it anew: npm run build && node scripts/docs-contracts.mjs
    expect(read(`reference/${name}`)).toBe(reference[name])
  })

  test('there is no schema without a contract', () => {
    const files = readdirSync(new URL('reference/', docs)).filter((name) => /schema|asyncapi/.test(name))
    expect(files.sort()).toEqual(Object.keys(reference).sort())
  })

  test('every reference in the AsyncAPI document leads somewhere', () => {
    const document = JSON.parse(reference['asyncapi.json'] as string) as Record<string, unknown>
    const targets = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(
      (match) => match[1] as string,
    )
    expect(targets.length).toBeGreaterThan(10)
    for (const target of targets) {
      const found = target
        .split('/')
        .reduce<unknown>((at, step) => (at as Record<string, unknown>)?.[step], document)
      expect(found, target).toBeDefined()
    }
  })

  test('the sentences about wrong keys know every key of the schema', () => {
    const error = refusal(createNativeContract(), message({ method: 'profile', nothingLikeIt: 1 }))
    for (const key of Object.keys(nativeCommandSchema.shape)) expect(error.hint).toContain(key)
  })
})

describe('the examples of docs/commands.md', () => {
  const blocks = [...read('commands.md').matchAll(/```json ([\w-]+)\n(.*?)```/gs)].map(
    (match) => [match[1] as string, match[2] as string] as const,
  )
  const checks: Record<string, (text: string) => void> = {
    'native-command': (text) => {
      nativeCommandSchema.parse(JSON.parse(text))
      createNativeContract().parse(message(text))
    },
    'native-reply': (text) => void nativeReplySchema.parse(JSON.parse(text)),
    'bridge-command': (text) => {
      bridgeCommandSchema.parse(JSON.parse(text))
      createBitrix24BridgeContract().parse(message(text))
    },
    'bridge-reply': (text) => void bridgeReplySchema.parse(JSON.parse(text)),
  }

  test('there are some of each kind', () => {
    expect(new Set(blocks.map(([kind]) => kind))).toEqual(new Set(Object.keys(checks)))
  })

  test.each(blocks)('%s: %s', (kind, text) => {
    checks[kind]?.(text)
  })
})
