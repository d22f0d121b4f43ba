import { PhpArray, setField } from './php.ts'

/**
 * The fields of a `multipart/form-data` body, nested by the brackets in their names. Parts that carry a file are
 * left out: no method of the sandbox takes one. A body without its boundary gives no fields.
 */
export function readMultipart(contentType: string, body: Buffer): PhpArray {
  const root = new PhpArray()
  const boundary = /boundary="?([^";]+)"?/i.exec(contentType)?.[1]
  if (boundary === undefined) return root
  const parts = body.toString('latin1').split(`--${boundary}`)
  for (const part of parts.slice(1, -1)) {
    const gap = part.indexOf('\r\n\r\n')
    const head = part.slice(0, gap)
    const name = /[;\s]name="([^"]*)"/i.exec(head)?.[1]
    if (gap < 0 || name === undefined || /filename="/i.test(head)) continue
    setField(root, utf8(name), utf8(part.slice(gap + 4, -2)))
  }
  return root
}

function utf8(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString()
}
