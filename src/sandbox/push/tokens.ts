import { createHmac, timingSafeEqual } from 'node:crypto'
import type { JsonObject } from '../../model/json.ts'
import { isJsonObject } from '../../model/json.ts'

const CHANNEL_PART = /^([a-f0-9]{32})(?::([a-f0-9]{32}))?\.([a-f0-9]{40})$/

/** `value.signature`: what a portal hands out as the name of a channel. */
export function signChannel(key: string, value: string): string {
  return `${value}.${hmac('sha1', key, value).toString('hex')}`
}

/** The same for a public id, by which others may address a channel but nobody can listen to it. */
export function signPublicId(key: string, publicId: string): string {
  return `${publicId}.${publicSignature(key, publicId)}`
}

/** The signature of a public id alone, as it stands in `publicChannels`. */
export function publicSignature(key: string, publicId: string): string {
  return hmac('sha1', key, `public:${publicId}`).toString('hex')
}

/**
 * The ids in `CHANNEL_ID`, public ones included: parts between slashes, each with its signature. One bad part spoils
 * the whole list, and so does a public id in place of a private one.
 */
export function parseChannels(key: string, list: string): string[] | undefined {
  const ids: string[] = []
  for (const part of list.split('/')) {
    const [, id, publicId, signature] = CHANNEL_PART.exec(part) ?? []
    if (id === undefined || signature === undefined) return undefined
    const signed = publicId === undefined ? id : `${id}:${publicId}`
    if (!isSame(hmac('sha1', key, signed), Buffer.from(signature, 'hex'))) return undefined
    ids.push(id, ...(publicId === undefined ? [] : [publicId]))
  }
  return [...new Set(ids)]
}

/** A JSON Web Token (HS256) with these claims. */
export function makeJwt(key: string, claims: JsonObject): string {
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`
  return `${text}.${hmac('sha256', key, text).toString('base64url')}`
}

/** The channels that a token of `makeJwt` names; `undefined` when it is not ours or has run out. */
export function channelsOfJwt(key: string, token: string, nowMs: number): string[] | undefined {
  const [head = '', body = '', signature = '', ...rest] = token.split('.')
  const expected = hmac('sha256', key, `${head}.${body}`)
  if (rest.length > 0 || !isSame(expected, Buffer.from(signature, 'base64url'))) return undefined
  const claims: unknown = JSON.parse(Buffer.from(body, 'base64url').toString())
  if (!isJsonObject(claims) || Number(claims.exp) * 1000 <= nowMs) return undefined
  return String(claims.chan).split(',')
}

function encode(value: JsonObject): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function hmac(algorithm: 'sha1' | 'sha256', key: string, value: string): Buffer {
  return createHmac(algorithm, key).update(value).digest()
}

function isSame(expected: Buffer, given: Buffer): boolean {
  return expected.length === given.length && timingSafeEqual(expected, given)
}
