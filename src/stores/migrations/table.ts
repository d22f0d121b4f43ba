import { type Kysely, type RawBuilder, sql } from 'kysely'
import { type ColumnKind, type Engine, engineOf } from '../dialects/engine.ts'

/** A column: what it holds, and whether it may be empty. */
export interface Column {
  readonly kind: ColumnKind
  /** For keys: the most characters. */
  readonly length?: number
  readonly nullable?: boolean
  /** What it holds when an insert leaves it out: a value, or the moment by the database's clock. */
  readonly otherwise?: string | number | typeof NOW
}

/** For `otherwise`: the moment of the insert. */
export const NOW: unique symbol = Symbol('now')

export interface Index {
  readonly name: string
  /** In order; `priority desc` turns one round. */
  readonly columns: readonly string[]
  /** Only rows where this column has this value (or any, when it says `not null`). Other engines index all rows, by it first. */
  readonly where?: readonly [column: string, is: number | 'not null']
}

export interface Table {
  readonly columns: Readonly<Record<string, Column>>
  /** Left out where a column is `serial`. */
  readonly primaryKey?: readonly string[]
  readonly indexes?: readonly Index[]
  /** Harmless when the table is there. */
  readonly ifMissing?: boolean
}

/** Text that is compared and indexed, of at most so many characters. */
export const key = (length: number): Column => ({ kind: 'key', length })
export const text: Column = { kind: 'text' }
export const integer: Column = { kind: 'integer' }
/** Milliseconds since 1970. */
export const time: Column = { kind: 'moment' }
export const level: Column = { kind: 'level' }
export const bytes: Column = { kind: 'bytes' }
/** A number that the database gives, rising; the primary key. */
export const serial: Column = { kind: 'serial' }

/** The same column, which may be empty. */
export function optional(column: Column): Column {
  return { ...column, nullable: true }
}

/** The same column, which an insert may leave out. */
export function defaulting(column: Column, otherwise: NonNullable<Column['otherwise']>): Column {
  return { ...column, otherwise }
}

/**
 * Makes a table with its indexes. Where statements like this one cannot be taken back, a table that is there already is
 * left as it is, so that a migration that was cut short can be repeated.
 */
export async function makeTable(db: Kysely<unknown>, name: string, table: Table): Promise<void> {
  const { adapter } = db.getExecutor()
  const engine = engineOf(db)
  const { columns, primaryKey, indexes = [] } = table
  const lines = Object.entries(columns).map(([column, what]) => columnLine(engine, column, what))
  if (primaryKey !== undefined) lines.push(sql`primary key (${refs(primaryKey)})`)
  // Indexes of their own cannot be taken back there either, nor asked whether they exist.
  const inside = !adapter.supportsTransactionalDdl
  if (inside) for (const index of indexes) lines.push(sql`index ${sql.ref(index.name)} (${covered(index)})`)
  const lenient = inside || table.ifMissing === true
  const [before, after] = !lenient
    ? ['', '']
    : adapter.supportsCreateIfNotExists
      ? ['', 'if not exists ']
      : [`if object_id('${name}') is null `, '']
  await sql`${sql.raw(before)}create table ${sql.raw(after)}${sql.table(name)} (${sql.join(lines)})`.execute(
    db,
  )
  if (inside) return
  for (const index of indexes) {
    const { where } = index
    const condition =
      where === undefined || !engine.partialIndexes
        ? sql``
        : where[1] === 'not null'
          ? sql` where ${sql.ref(where[0])} is not null`
          : sql` where ${sql.ref(where[0])} = ${sql.lit(where[1])}`
    const on = engine.partialIndexes ? refs(index.columns) : covered(index)
    await sql`create index ${sql.ref(index.name)} on ${sql.table(name)} (${on})${condition}`.execute(db)
  }
}

/**
 * Gives a table one more column. Where statements like this one cannot be taken back, a column that is there already is
 * left as it is, so that a migration that was cut short can be repeated.
 */
export async function addColumn(
  db: Kysely<unknown>,
  table: string,
  name: string,
  column: Column,
): Promise<void> {
  const isThere = (): Promise<boolean> =>
    sql`select ${sql.ref(name)} from ${sql.table(table)} where 1 = 0`.execute(db).then(
      () => true,
      () => false,
    )
  if (!db.getExecutor().adapter.supportsTransactionalDdl && (await isThere())) return
  // Without the word "column", which one of the engines does not know here.
  await sql`alter table ${sql.table(table)} add ${columnLine(engineOf(db), name, column)}`.execute(db)
}

function columnLine(
  engine: Engine,
  name: string,
  { kind, length = 0, nullable, otherwise }: Column,
): RawBuilder<unknown> {
  const rest = kind === 'serial' ? '' : nullable ? ' null' : ' not null'
  const type = sql`${sql.ref(name)} ${sql.raw(engine.columnType(kind, length) + rest)}`
  if (otherwise === undefined) return type
  return otherwise === NOW ? sql`${type} default (${engine.now})` : sql`${type} default ${sql.lit(otherwise)}`
}

/** The columns of an index over all rows. */
function covered({ columns, where }: Index): RawBuilder<unknown> {
  const first = where === undefined || columns.includes(where[0]) ? [] : [where[0]]
  return refs([...first, ...columns])
}

function refs(columns: readonly string[]): RawBuilder<unknown> {
  return sql.join(
    columns.map((column) => {
      const [name, direction] = column.split(' ')
      return direction === 'desc' ? sql`${sql.ref(name!)} desc` : sql`${sql.ref(name!)}`
    }),
  )
}
