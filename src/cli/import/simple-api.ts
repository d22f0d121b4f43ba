import { BridgeError, CommandError } from '../../model/errors.ts'
import { parseDomain } from '../../model/portal.ts'

/** What one row of the other program's table says. */
export interface ImportRow {
  readonly memberId: string
  readonly domain: string
  readonly clientEndpoint: string
  readonly clientId: string
  readonly clientSecret: string
  /** Empty in the first generation, which does not know it. */
  readonly userId: string
  readonly isAdmin: boolean
  readonly accessToken: string
  readonly refreshToken: string
  readonly applicationToken?: string
}

/** A row that cannot be taken, and why; it is left where it is. */
export interface RefusedRow {
  /** Counted from 1, in the order of the table. */
  readonly row: number
  readonly memberId: string
  readonly why: string
}

/** The table, read. */
export interface ImportReading {
  readonly generation: Generation
  readonly rows: readonly ImportRow[]
  readonly refused: readonly RefusedRow[]
}

/** `v1` keeps one pair a portal, `v2` one a user. */
export type Generation = 'v1' | 'v2'

/** Columns by generation, as simple-api-bitrix24 names them; those with a mark may be missing. */
const COLUMNS = {
  v1: [
    'member_id',
    'access_token',
    'refresh_token',
    'domain',
    'client_endpoint?',
    'client_id',
    'client_secret',
    'application_token?',
    'expires_in?',
  ],
  v2: [
    'user_id',
    'member_id',
    'is_admin?',
    'auth_token',
    'refresh_token',
    'domain',
    'client_id',
    'client_secret',
  ],
} as const

/** The usual table of each generation. */
export const USUAL_TABLES = ['api_tokens_bitrix24', 'b24_users'] as const

const NAMES: readonly string[] = [
  ...new Set([...COLUMNS.v1, ...COLUMNS.v2].map((name) => name.replace('?', ''))),
]

/** Reads `member_id=portal_id,access_token=token`: our names, and those of the table. Throws a `CommandError`. */
export function parseColumns(text: string): ReadonlyMap<string, string> {
  const columns = new Map<string, string>()
  for (const part of text.split(',')) {
    const [, ours, theirs] = /^\s*(\w+)\s*=\s*(\S.*?)\s*$/.exec(part) ?? []
    if (ours === undefined || theirs === undefined || !NAMES.includes(ours))
      throw new CommandError('COLUMNS_INVALID', `--columns cannot be read at ${JSON.stringify(part)}.`, {
        hint: `Write name=column with commas between them; the names are ${NAMES.join(', ')}.`,
      })
    columns.set(ours, theirs)
  }
  return columns
}

/**
 * Reads rows of either generation; which one it is, the columns tell. `expires_in` is a duration without a beginning,
 * so when a token ends is not known: the portal will say. Administrators come first: the first pair of an application
 * speaks for it. Throws a `CommandError` `COLUMNS_MISSING` for a table of neither generation.
 */
export function readSimpleApi(
  rows: readonly Readonly<Record<string, unknown>>[],
  columns: ReadonlyMap<string, string> = new Map(),
): ImportReading {
  const there = new Set(rows.flatMap((row) => Object.keys(row)))
  const nameOf = (ours: string): string => columns.get(ours) ?? ours
  const lacking = (generation: Generation): string[] =>
    COLUMNS[generation].filter((name) => !name.endsWith('?') && !there.has(nameOf(name))).map(nameOf)
  const generation: Generation = lacking('v2').length < lacking('v1').length ? 'v2' : 'v1'
  const missing = lacking(generation)
  if (rows.length > 0 && missing.length > 0)
    throw new CommandError('COLUMNS_MISSING', `The table has no column ${missing.join(', ')}.`, {
      hint: `It has ${[...there].join(', ')}. Name what is called otherwise: --columns member_id=…,access_token=…`,
    })
  const read: ImportRow[] = []
  const refused: RefusedRow[] = []
  for (const [index, row] of rows.entries()) {
    const text = (ours: string): string => textOf(row[nameOf(ours)])
    try {
      read.push(readRow(generation, text))
    } catch (error) {
      if (!(error instanceof BridgeError)) throw error
      refused.push({ row: index + 1, memberId: text('member_id'), why: error.message })
    }
  }
  return { generation, rows: read.sort((a, b) => Number(b.isAdmin) - Number(a.isAdmin)), refused }
}

function readRow(generation: Generation, text: (ours: string) => string): ImportRow {
  const needed = (ours: string): string => {
    const value = text(ours)
    if (value !== '') return value
    throw new CommandError('ROW_INVALID', `${ours} is empty.`)
  }
  const domain = parseDomain(needed('domain'))
  const clientEndpoint = (generation === 'v1' ? text('client_endpoint') : '') || `https://${domain}/rest/`
  if (!URL.canParse(clientEndpoint) || !/^https?:\/\/[^/]+\/(?:[^?#]*\/)?rest\/$/.test(clientEndpoint))
    throw new CommandError('ROW_INVALID', 'client_endpoint is not the REST address of a portal.')
  const applicationToken = generation === 'v1' ? text('application_token') : ''
  return {
    memberId: needed('member_id'),
    domain,
    clientEndpoint,
    clientId: needed('client_id'),
    clientSecret: needed('client_secret'),
    userId: generation === 'v2' ? needed('user_id') : '',
    isAdmin: generation === 'v2' && /^(?:1|t|true|y|yes)$/i.test(text('is_admin')),
    accessToken: needed(generation === 'v1' ? 'access_token' : 'auth_token'),
    refreshToken: needed('refresh_token'),
    ...(applicationToken !== '' && { applicationToken }),
  }
}

/** Databases give numbers and truth values in their own ways. */
function textOf(value: unknown): string {
  return value === null || value === undefined ? '' : String(value).trim()
}
