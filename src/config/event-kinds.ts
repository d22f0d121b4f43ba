import type { Kind } from './kinds.ts'
import { list } from './list-kinds.ts'

const MOST_MINUTES = 7 * 24 * 60

/** `off`, or minutes; fractions are welcome. */
export const scanMinutes: Kind<number | 'off'> = {
  is: `off, or minutes from 0.01 to ${MOST_MINUTES}`,
  parse: (input) => {
    const word = input.trim().toLowerCase()
    if (word === 'off') return { value: 'off' }
    const value = /^\d+(\.\d+)?$/.test(word) ? Number(word) : Number.NaN
    return value >= 0.01 && value <= MOST_MINUTES ? { value } : { fault: `must be ${scanMinutes.is}` }
  },
  show: String,
}

/** Kinds of objects whose changes can be asked for. */
export const scanEntities: Kind<readonly string[]> = list({
  is: 'crm.deal, crm.lead, crm.contact, crm.company, tasks.task or crm.item:<entityTypeId>, separated by commas',
  read: (one) => one.toLowerCase(),
  fits: (one) => /^(?:crm\.(?:deal|lead|contact|company)|crm\.item:[1-9]\d{0,9}|tasks\.task)$/.test(one),
})

/** `off`, or names of events with `*` for any letters. */
export const eventPatterns: Kind<readonly string[]> = {
  ...list({
    is: 'off, or names of events such as ONCRM*UPDATE separated by commas',
    read: (one) => one.toUpperCase(),
    fits: (one) => /^[A-Z\d_*]+$/.test(one),
    none: 'off',
  }),
  show: (value) => (value.length === 0 ? 'off' : value.join(',')),
}
