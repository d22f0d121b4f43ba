import {
  type InsertQueryNode,
  MysqlQueryCompiler,
  type OnConflictNode,
  OrActionNode,
  type ReferenceNode,
} from 'kysely'

/**
 * Queries are written as PostgreSQL and SQLite know them; this writes `on conflict` as MySQL and MariaDB do. Any unique
 * key counts there, not only the named columns.
 *
 * https://dev.mysql.com/doc/refman/8.4/en/insert-on-duplicate.html
 */
export class MysqlCompiler extends MysqlQueryCompiler {
  protected override visitInsertQuery(node: InsertQueryNode): void {
    const { onConflict, ...rest } = node
    if (onConflict?.doNothing !== true) super.visitInsertQuery(node)
    else super.visitInsertQuery({ ...rest, orAction: OrActionNode.create('ignore') })
  }

  protected override visitOnConflict({ updates = [], updateWhere }: OnConflictNode): void {
    if (updateWhere !== undefined) throw new Error('MySQL has no condition for on duplicate key update')
    this.append('on duplicate key update ')
    this.compileList(updates)
  }

  /** The row that was to be inserted: `values(column)`, the one form that both MySQL and MariaDB read. */
  protected override visitReference(node: ReferenceNode): void {
    if (node.table?.table.identifier.name === 'excluded') {
      this.append('values(')
      this.visitNode(node.column)
      this.append(')')
    } else super.visitReference(node)
  }
}
