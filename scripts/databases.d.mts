type Found = { url: string } | { missing: string }
type Options = { log?: (line: string) => void }

/** The address of a PostgreSQL whose user may create databases, or in one line why there is none. */
export function findPostgres(options?: Options): Promise<Found>

/** The same for MariaDB or MySQL. */
export function findMysql(options?: Options): Promise<Found>
