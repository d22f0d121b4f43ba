import { existsSync } from 'node:fs'
import { type Dialect, SqliteDialect } from 'kysely'
import Database from 'libsql'
import { StoreError } from '../../model/errors.ts'

/**
 * SQLite over a file of somebody else's that is only read: it must exist, keeps its journal mode, and every statement
 * that would change it is refused. https://www.sqlite.org/pragma.html#pragma_query_only
 */
export function sqliteReader(path: string): Dialect {
  return new SqliteDialect({
    database: async () => {
      if (!existsSync(path))
        throw new StoreError('STORE_UNAVAILABLE', `There is no file ${path}`, {
          hint: 'Check the name of the database file.',
        })
      const database = new Database(path)
      database.pragma('busy_timeout = 5000')
      database.pragma('query_only = ON')
      return {
        prepare: (statement) => database.prepare(statement),
        close: () => void database.close(),
      }
    },
  })
}
