import { InvalidArgumentError } from 'commander'

/** Reads a flag that is a whole number from 0 to `max`. */
export function whole(max: number): (text: string) => number {
  return (text) => {
    if (/^\d+$/.test(text) && Number(text) <= max) return Number(text)
    throw new InvalidArgumentError(`It must be a whole number from 0 to ${max}.`)
  }
}

/** Reads a flag that is a number of seconds, fractions allowed, up to a day. */
export function seconds(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text) && Number(text) <= 86_400) return Number(text)
  throw new InvalidArgumentError('It must be a number of seconds.')
}
