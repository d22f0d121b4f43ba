import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'

/** Members whose value is a secret, or a block of them, in any case of letters. `event_token` is none: it answers a robot. */
const SECRET = new Set([
  'auth',
  'access_token',
  'refresh_token',
  'application_token',
  'auth_id',
  'refresh_id',
  'client_secret',
])
/** Shorter texts are no tokens, and would be found inside innocent words. */
const SHORTEST_TOKEN = 16
const MASK = '•••'

/** The texts of all tokens in a form, wherever they stand. */
export function secretsIn(form: Json): string[] {
  const found = new Set<string>()
  collect(form, false, found)
  return [...found]
}

/**
 * The same without tokens: members that hold one are left out at any depth, and a token that stands in the middle of
 * some other text is masked. `secrets` are those of the whole form.
 */
export function stripTokens(value: JsonObject, secrets: readonly string[]): JsonObject
export function stripTokens(value: Json, secrets: readonly string[]): Json
export function stripTokens(value: Json, secrets: readonly string[]): Json {
  if (typeof value === 'string') return masked(value, secrets)
  if (Array.isArray(value)) return value.map((one: Json) => stripTokens(one, secrets))
  if (!isJsonObject(value)) return value
  const clean: Record<string, Json> = {}
  for (const [key, member] of Object.entries(value)) {
    if (!isSecret(key)) clean[masked(key, secrets)] = stripTokens(member, secrets)
  }
  return clean
}

function isSecret(key: string): boolean {
  return SECRET.has(key.toLowerCase())
}

function masked(text: string, secrets: readonly string[]): string {
  if (text.length < SHORTEST_TOKEN) return text
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, MASK), text)
}

function collect(value: Json, secret: boolean, found: Set<string>): void {
  if (typeof value === 'string') {
    if (secret && value.length >= SHORTEST_TOKEN) found.add(value)
  } else if (Array.isArray(value)) {
    for (const one of value) collect(one, secret, found)
  } else if (isJsonObject(value)) {
    // A block such as `auth` holds more than tokens, the domain say: inside it names count again.
    for (const [key, member] of Object.entries(value)) collect(member, isSecret(key), found)
  }
}
