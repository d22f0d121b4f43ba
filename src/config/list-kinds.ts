import type { Kind } from './kinds.ts'

/** `off`, or names of methods with `*` for any letters. */
export const methodPatterns: Kind<readonly string[]> = {
  ...list({
    is: 'off, or names of methods such as bizproc.event.send separated by commas',
    read: (one) => one.toLowerCase(),
    fits: (one) => /^[a-z\d_.*]+$/.test(one),
    none: 'off',
  }),
  show: (value) => (value.length === 0 ? 'off' : value.join(',')),
}

/** Several texts with commas between them, each once. */
export function list({
  is,
  read,
  fits,
  none,
}: {
  readonly is: string
  readonly read: (one: string) => string
  readonly fits: (one: string) => boolean
  /** The word for an empty list. */
  readonly none?: string
}): Kind<readonly string[]> {
  return {
    is,
    parse(input) {
      if (input.trim().toLowerCase() === none) return { value: [] }
      const value = [...new Set(input.split(',').map((one) => read(one.trim())))]
      const wrong = value.find((one) => !fits(one))
      return wrong === undefined ? { value } : { fault: `must be ${is}, not "${wrong.slice(0, 60)}"` }
    },
    show: (value) => value.join(','),
  }
}
