import { Command, Option } from 'commander'
import { CommandError, StoreError } from '../../model/errors.ts'
import type { ForeignTable } from '../../stores/foreign.ts'
import { EXIT } from '../exit-codes.ts'
import { bringsNews, type RowPlan } from '../import/plan.ts'
import { type ImportReading, parseColumns, readSimpleApi, USUAL_TABLES } from '../import/simple-api.ts'
import { stopIfInterrupted } from '../interrupted.ts'
import type { CliIo } from '../io.ts'
import { printJson, printLines } from '../report.ts'
import { createSecretReader, isPlace } from '../secret-input.ts'
import { addSettingFlags, configOf } from '../settings.ts'
import { tableLines } from '../table.ts'
import { withVault } from '../vault.ts'

const EXAMPLES = `
Examples:
  OLD_DB=mysql://reader:password@db/app b24-bridge portals import --from simple-api --url env:OLD_DB --dry-run
  b24-bridge portals import --from simple-api --url sqlite:./old.db --table tokens \\
    --columns member_id=portal,access_token=token`

interface Flags {
  readonly url: string
  readonly table: string
  readonly columns?: string
  readonly dryRun?: boolean
  readonly json?: boolean
}

/** `b24-bridge portals import`: portals, applications and tokens out of another program's table, which is only read. */
export function importCommand(io: CliIo): Command {
  const command = new Command('import')
    .description("Take portals, applications and tokens over from another program's table")
    .addOption(
      new Option('--from <program>', 'whose table it is').choices(['simple-api']).makeOptionMandatory(),
    )
    .requiredOption('--url <address>', 'its database: sqlite:, postgres:, mysql:, mssql:; - or env:NAME')
    .option('--table <name>', `its table, such as ${USUAL_TABLES.join(' or ')}`, USUAL_TABLES[0])
    .option('--columns <names>', 'columns that are called otherwise: member_id=portal,access_token=token')
    .option('--dry-run', 'show what would be written, and write nothing')
    .option('--json', 'as one line of JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: Flags) => {
      const config = configOf(command, io)
      const columns = flags.columns === undefined ? undefined : parseColumns(flags.columns)
      const url = isPlace(flags.url) ? await createSecretReader(io)('--url', flags.url) : flags.url
      const { label, rows } = await readTable(url, flags.table)
      const reading = readSimpleApi(rows, columns)
      const { planRow, writeRow } = await import('../import/write.ts')
      const plans: RowPlan[] = []
      await withVault(config, async (vault) => {
        const now = Date.now()
        for (const [index, row] of reading.rows.entries()) {
          stopIfInterrupted(io, 'What was written stays; start it again to go on.')
          // A millisecond each: the order in which they are kept says who speaks for the application.
          plans.push(
            flags.dryRun === true ? await planRow(vault, row) : await writeRow(vault, row, now + index),
          )
        }
      })
      if (reading.refused.length > 0) io.exit(EXIT.usage)
      const result = { label, reading, plans, dryRun: flags.dryRun === true }
      if (flags.json === true) printJson(io, asJson(result))
      else printLines(io, lines(result))
    })
  return addSettingFlags(command)
}

interface Result {
  readonly label: string
  readonly reading: ImportReading
  readonly plans: readonly RowPlan[]
  readonly dryRun: boolean
}

async function readTable(url: string, table: string): Promise<ForeignTable> {
  const { readForeignTable } = await import('../../stores/foreign.ts')
  try {
    return await readForeignTable(url, table)
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'STORE_FAILED') throw error
    throw new CommandError('TABLE_UNREADABLE', `The table ${table} cannot be read.`, {
      hint: 'Check its name, given with --table, and whether this user may read it.',
      cause: error,
    })
  }
}

function lines({ label, reading, plans, dryRun }: Result): string[] {
  const { generation, refused } = reading
  const news = plans.filter(bringsNews).length
  const word = dryRun ? 'would be written' : 'written'
  return [
    ...tableLines(
      ['DOMAIN', 'MEMBER ID', 'APPLICATION', 'USER', 'PORTAL', 'APP', 'TOKENS', 'APP TOKEN'],
      plans.map(({ row, portal, application, tokens, applicationToken }) => [
        row.domain,
        row.memberId,
        row.clientId,
        row.userId || '-',
        portal,
        application,
        tokens,
        applicationToken,
      ]),
    ),
    ...refused.map(({ row, memberId, why }) => `refused: row ${row} (${memberId || 'no member id'}): ${why}`),
    `${news} of ${plans.length + refused.length} rows of ${label} (generation ${generation}) ${word}; ${plans.length - news} are known already, ${refused.length} refused.`,
    ...(dryRun ? ['Nothing was written. Leave --dry-run out to do it.'] : []),
  ]
}

function asJson({ label, reading, plans, dryRun }: Result): unknown {
  return {
    from: label,
    generation: reading.generation,
    dryRun,
    rows: plans.map((plan) => {
      const { row, ...what } = plan
      const { domain, memberId, clientId, userId } = row
      return {
        domain,
        memberId,
        clientId,
        userId: userId === '' ? null : userId,
        ...what,
        isNew: bringsNews(plan),
      }
    }),
    refused: reading.refused,
  }
}
