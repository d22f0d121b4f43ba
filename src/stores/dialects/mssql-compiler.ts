import {
  type FromNode,
  type InsertQueryNode,
  type LimitNode,
  MssqlQueryCompiler,
  type OnConflictNode,
  type OperationNode,
  OutputNode,
  ReferenceNode,
  type ReturningNode,
  SelectAllNode,
  SelectionNode,
  type SelectQueryNode,
  TableNode,
  type UpdateQueryNode,
} from 'kysely'

/**
 * Queries are written as PostgreSQL and SQLite know them; this writes them for SQL Server: `on conflict` as `merge`,
 * `returning` as `output`, `limit` as `fetch`, `for update skip locked` as hints on the table.
 */
export class MssqlCompiler extends MssqlQueryCompiler {
  #hint = ''

  protected override visitInsertQuery(node: InsertQueryNode): void {
    if (node.onConflict === undefined) super.visitInsertQuery(withOutput(node))
    else this.#merge(node, node.onConflict)
  }

  protected override visitUpdateQuery(node: UpdateQueryNode): void {
    super.visitUpdateQuery(withOutput(node))
  }

  /** Needs an `order by`, as every limit of ours has. */
  protected override visitLimit(node: LimitNode): void {
    this.append('offset 0 rows fetch next ')
    this.visitNode(node.limit)
    this.append(' rows only')
  }

  /** https://learn.microsoft.com/sql/t-sql/queries/hints-transact-sql-table */
  protected override visitSelectQuery(node: SelectQueryNode): void {
    const { endModifiers = [], ...rest } = node
    const modifiers = endModifiers.map(({ modifier }) => modifier)
    if (modifiers.includes('ForUpdate')) {
      this.#hint = ` with (updlock, rowlock${modifiers.includes('SkipLocked') ? ', readpast' : ''})`
    }
    super.visitSelectQuery(rest)
  }

  protected override visitFrom(node: FromNode): void {
    super.visitFrom(node)
    this.append(this.#hint)
    this.#hint = ''
  }

  /** `holdlock`, or two processes could both find nothing and both insert. */
  #merge(node: InsertQueryNode, { columns: keys = [], updates = [] }: OnConflictNode): void {
    const columns = node.columns ?? []
    this.append('merge into ')
    this.visitNode(node.into!)
    this.append(' with (holdlock) using (')
    this.visitNode(node.values!)
    this.append(') as "excluded" (')
    this.compileList(columns)
    this.append(') on ')
    keys.forEach((key, index) => {
      this.append(index === 0 ? '' : ' and ')
      this.visitNode(node.into!)
      this.append('.')
      this.visitNode(key)
      this.append(' = "excluded".')
      this.visitNode(key)
    })
    if (updates.length > 0) {
      this.append(' when matched then update set ')
      this.compileList(updates)
    }
    this.append(' when not matched then insert (')
    this.compileList(columns)
    this.append(') values (')
    columns.forEach((column, index) => {
      this.append(index === 0 ? '"excluded".' : ', "excluded".')
      this.visitNode(column)
    })
    this.append(')')
    if (node.returning !== undefined) {
      this.append(' ')
      this.visitNode(outputOf(node.returning))
    }
    this.append(';')
  }
}

function withOutput<T extends InsertQueryNode | UpdateQueryNode>(node: T): T {
  if (node.returning === undefined) return node
  const { returning, ...rest } = node
  return { ...rest, output: outputOf(returning) } as unknown as T
}

function outputOf({ selections }: ReturningNode): OutputNode {
  return OutputNode.create(selections.map(({ selection }) => SelectionNode.create(inserted(selection))))
}

function inserted(selection: OperationNode): ReferenceNode {
  const table = TableNode.create('inserted')
  if (SelectAllNode.is(selection)) return ReferenceNode.createSelectAll(table)
  if (ReferenceNode.is(selection) && !SelectAllNode.is(selection.column))
    return ReferenceNode.create(selection.column, table)
  throw new Error(`An output of ${selection.kind} is not written yet`)
}
