import type { Call } from '../method.ts'
import { invalid, V3Fault } from './errors.ts'

/** `id` of a request; a number, not a text. */
export function idParam({ params: { id } }: Call): number {
  if (id === undefined) throw invalid([{ field: 'id', message: 'Required field `id` is missing' }])
  if (typeof id !== 'number' || !Number.isInteger(id))
    throw invalid([{ field: 'id', message: 'Field `id` requires data type `int` for this request' }])
  return id
}

/** There is no object with this id. */
export function notFound(id: number): V3Fault {
  return new V3Fault('ENTITYNOTFOUNDEXCEPTION', `Record with ID = \`${id}\` not found`)
}
