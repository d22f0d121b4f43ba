import { readFileSync } from 'node:fs'
import { ConfigError } from '../model/errors.ts'

/** Where a store is: a file, or a database on a server. */
export type StoreAddress = FileAddress | ServerAddress

export interface FileAddress {
  readonly engine: 'sqlite'
  /** A file, or `:memory:`. */
  readonly path: string
  /** The address for people. */
  readonly label: string
}

export interface ServerAddress {
  readonly engine: 'postgres' | 'mysql' | 'mssql'
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  /** Never part of a text. */
  readonly password: string
  /** Connections at most. */
  readonly pool: number
  /** Folder (PostgreSQL) or file (MySQL) of a Unix socket, instead of host and port. */
  readonly socket?: string
  /** PostgreSQL: where the tables are, when not where the server puts them by itself. */
  readonly schema?: string
  readonly tls?: { readonly verify: boolean; readonly ca?: string }
  /** The address for people: no user, no password. */
  readonly label: string
}

const ENGINES: Readonly<Record<string, { engine: ServerAddress['engine']; port: number }>> = {
  'postgres:': { engine: 'postgres', port: 5432 },
  'postgresql:': { engine: 'postgres', port: 5432 },
  'mysql:': { engine: 'mysql', port: 3306 },
  'mariadb:': { engine: 'mysql', port: 3306 },
  'mssql:': { engine: 'mssql', port: 1433 },
  'sqlserver:': { engine: 'mssql', port: 1433 },
}
const FORMS =
  'sqlite:./file.db, postgres://user:password@host/database, mysql://…, mariadb://… or mssql://…, with @ : / in a password as %40 %3A %2F'
const PARAMETERS = ['pool', 'schema', 'socket', 'sslmode', 'sslrootcert']

/** Reads the address of a store. Throws a `ConfigError` that never repeats it, for it may hold a password. */
export function parseStoreAddress(text: string): StoreAddress {
  const scheme = /^([a-z][a-z0-9+.-]*:)/i.exec(text)?.[1]?.toLowerCase()
  if (scheme === 'sqlite:') return fileAddress(text)
  const known = scheme === undefined ? undefined : ENGINES[scheme]
  if (known === undefined || !URL.canParse(text)) {
    const what = scheme === undefined ? 'has no scheme' : `begins with ${scheme} and cannot be read`
    throw new ConfigError([`The store address ${what}; write ${FORMS}`])
  }
  return serverAddress(new URL(text), known)
}

function fileAddress(text: string): FileAddress {
  const path = text.slice('sqlite:'.length).replace(/^\/\/(?=\/|\.)/, '')
  if (path === '') throw new ConfigError(['The store address names no file: write sqlite:./bridge.db'])
  return { engine: 'sqlite', path, label: `sqlite:${path}` }
}

function serverAddress(
  url: URL,
  { engine, port }: { engine: ServerAddress['engine']; port: number },
): ServerAddress {
  const faults: string[] = []
  const fault = (what: string): void => void faults.push(`The store address ${what}`)
  const database = decoded(url.pathname.slice(1), () => fault('has a database name that cannot be decoded'))
  const user = decoded(url.username, () => fault('has a user name that cannot be decoded'))
  const password = decoded(url.password, () => fault('has a password that cannot be decoded: write % as %25'))
  if (database === '') fault('names no database: write it behind the host, as in postgres://user@host/bridge')
  if (user === '') fault('names no user: write one before the host, as in postgres://bridge@host/bridge')

  const parameters = url.searchParams
  for (const name of parameters.keys()) {
    if (!PARAMETERS.includes(name))
      fault(`has the unknown parameter ${name}; known are ${PARAMETERS.join(', ')}`)
  }
  const pool = parameters.get('pool') ?? '10'
  if (!/^[1-9]\d{0,2}$/.test(pool)) fault('has a pool that is no number from 1 to 999')
  const schema = parameters.get('schema')
  if (schema !== null && (engine !== 'postgres' || !/^[a-z_]\w*$/i.test(schema)))
    fault('has a schema that cannot be used: it is for PostgreSQL, of letters, digits and _')
  const socket = parameters.get('socket')
  if (socket !== null && engine === 'mssql') fault('has a socket, which SQL Server does not know')
  const tls = tlsOf(parameters, fault)
  if (faults.length > 0) throw new ConfigError(faults)

  const host = url.hostname.replace(/^\[|\]$/g, '') || 'localhost'
  const where = socket === null ? `${url.hostname || host}:${url.port || port}` : socket
  return {
    engine,
    host,
    port: Number(url.port || port),
    database,
    user,
    password,
    pool: Number(pool),
    ...(socket === null ? {} : { socket }),
    ...(schema === null ? {} : { schema }),
    ...(tls === undefined ? {} : { tls }),
    label: `${url.protocol}//${where}/${database}${schema === null ? '' : `?schema=${schema}`}`,
  }
}

/** The modes of PostgreSQL's own clients. https://www.postgresql.org/docs/current/libpq-ssl.html */
function tlsOf(parameters: URLSearchParams, fault: (what: string) => void): ServerAddress['tls'] {
  const mode = parameters.get('sslmode') ?? (parameters.has('sslrootcert') ? 'verify-full' : 'disable')
  const file = parameters.get('sslrootcert')
  if (!['disable', 'require', 'verify-full'].includes(mode))
    fault('has an sslmode other than disable, require (encrypted, not checked) or verify-full')
  if (mode === 'disable') return undefined
  if (file === null) return { verify: mode === 'verify-full' }
  try {
    return { verify: true, ca: readFileSync(file, 'utf8') }
  } catch {
    fault('names an sslrootcert that cannot be read')
    return undefined
  }
}

function decoded(text: string, onFault: () => void): string {
  try {
    return decodeURIComponent(text)
  } catch {
    onFault()
    return text
  }
}
