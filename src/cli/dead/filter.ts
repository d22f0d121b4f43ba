import { type Command, InvalidArgumentError, Option } from 'commander'
import type { LetterFilter } from '../../model/dead-letter.ts'
import { CommandError } from '../../model/errors.ts'

/** The flags by which letters are chosen, as commander leaves them. */
export interface FilterFlags {
  readonly state?: 'open' | 'retried' | 'all'
  readonly reason?: string
  readonly ofPortal?: string
  readonly method?: string
  readonly queue?: string
  readonly since?: number
  readonly until?: number
}

/** Gives a command the flags that choose letters; before those of the settings, one of which is called `--portal` too. */
export function addFilterFlags(command: Command, options: { readonly now: () => number }): Command {
  const portal = new Option('--portal <portal>', 'only of this portal, as the command named it')
  portal.attributeName = () => 'ofPortal'
  const moment = (text: string): number => parseMoment(text, options.now())
  return command
    .addOption(new Option('--state <state>', 'open unless given').choices(['open', 'retried', 'all']))
    .option('--reason <code>', 'only with this reason, such as BODY_NOT_JSON')
    .addOption(portal)
    .option('--method <method>', 'only of this method; crm.deal.* for all that begin so')
    .option('--queue <name>', 'only from this queue')
    .option('--since <moment>', 'only set aside since then: 2026-11-22T10:00:00Z, or 2h ago, 3d ago', moment)
    .option('--until <moment>', 'only set aside before then', moment)
}

/** The filter of the flags; open letters unless they say otherwise. */
export function filterOf(flags: FilterFlags): LetterFilter {
  const { state = 'open', reason, ofPortal: portal, method, queue, since, until } = flags
  const given = { reason: reason?.toUpperCase(), portal, method, queue, since, until }
  return {
    ...(state === 'all' ? {} : { state }),
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  }
}

/** Everything at once is a decision, not a default. */
export function requireChoice(flags: FilterFlags & { readonly all?: boolean }): void {
  const { state: _, ...narrow } = filterOf(flags)
  if (flags.all === true || Object.keys(narrow).length > 0) return
  throw new CommandError('ARGUMENT_INVALID', 'No letter was chosen.', {
    hint: 'Name ids, choose with --reason, --portal, --method, --queue, --since or --until, or give --all.',
  })
}

/** `1 letter`, `7 letters`. */
export function counted(count: number): string {
  return `${count} letter${count === 1 ? '' : 's'}`
}

const AGO = /^(\d{1,6})\s*([smhd])(?: ago)?$/
const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

function parseMoment(text: string, now: number): number {
  const ago = AGO.exec(text.trim())
  if (ago !== null) return now - Number(ago[1]) * UNIT_MS[ago[2] as keyof typeof UNIT_MS]
  const moment = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isFinite(moment)) return moment
  throw new InvalidArgumentError('It must be a moment such as 2026-11-22T10:00:00Z, or an age such as 2h.')
}
