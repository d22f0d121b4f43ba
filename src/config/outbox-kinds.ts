import type { Kind } from './kinds.ts'

/** Keys that sign as Standard Webhooks says, the newest first. */
export const webhookSecrets: Kind<readonly string[]> = {
  is: 'one or several secrets such as whsec_… with commas between them, each 24 to 64 bytes in base64: `echo "whsec_$(openssl rand -base64 32)"`',
  parse: (input) => {
    const value = input.split(',').map((one) => one.trim())
    const good = value.every((one) => {
      const base64 = /^whsec_([A-Za-z\d+/]+={0,2})$/.exec(one)?.[1] ?? ''
      const { length } = Buffer.from(base64, 'base64')
      return length >= 24 && length <= 64
    })
    return good ? { value } : { fault: `must be ${webhookSecrets.is}` }
  },
  show: () => 'set',
}

/** Patterns of routing keys as topic exchanges have them. */
export const patterns: Kind<readonly string[]> = {
  is: 'patterns of routing keys such as event.# separated by commas',
  parse: (input) => {
    const value = input.split(',').map((one) => one.trim().toLowerCase())
    const good = value.every((one) => /^(?:[a-z\d_-]+|[*#])(?:\.(?:[a-z\d_-]+|[*#]))*$/.test(one))
    return good ? { value } : { fault: `must be ${patterns.is}, not "${input.slice(0, 60)}"` }
  },
  show: (value) => value.join(','),
}
