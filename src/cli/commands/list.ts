import { resolve } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { Command, InvalidArgumentError, Option } from 'commander'
import { createClient } from '../../client/client.ts'
import type { Caller } from '../../client/lane/work.ts'
import { CommandError, TransportError } from '../../model/errors.ts'
import type { JsonObject } from '../../model/json.ts'
import { parseKeyValues, parseParams } from '../arguments.ts'
import { type ExportSummary, exportList, streamSink } from '../export/export.ts'
import { createFormat, FORMATS, type FormatName, formatOf } from '../export/format.ts'
import { fingerprint, PartFile } from '../export/part-file.ts'
import { createProgress } from '../export/progress.ts'
import type { CliIo } from '../io.ts'

/** A road to a portal that is closed after use. */
export interface ListClient extends Caller {
  close(): Promise<void>
}

/** Opens the portal that the flags name. */
export type OpenClient = (flags: { readonly portal?: string }) => Promise<ListClient>

interface ListFlags {
  readonly params?: string
  readonly out?: string
  readonly format?: FormatName
  readonly resume?: boolean
  readonly limit?: number
  readonly byOffset?: boolean
  readonly count: boolean
  readonly json?: boolean
  readonly quiet?: boolean
  readonly portal?: string
}

const EXAMPLES = `
Examples:
  b24-bridge list crm.deal.list filter[STAGE_ID]=NEW select[]=ID select[]=TITLE
  b24-bridge list crm.item.list entityTypeId=2 'filter[>=createdTime]=2026-01-01' --out deals.csv
  b24-bridge list crm.contact.list --out contacts.ndjson --resume`

/**
 * `b24-bridge list METHOD [key=value…]`: every row of a list to stdout or a file, with a progress bar on a terminal.
 * Errors are thrown to the caller of the program; a file that was begun stays behind as `FILE.part` to be resumed.
 */
export function listCommand(
  io: CliIo,
  { openClient = openByAddress }: { openClient?: OpenClient } = {},
): Command {
  return new Command('list')
    .description('Every row of a list, to stdout or a file')
    .argument('<method>', 'list method, such as crm.deal.list')
    .argument('[parameters...]', 'key=value, filter[>ID]=5, select[]=ID, or key:=JSON')
    .option('--params <json>', 'parameters as a JSON object; key=value is laid over it')
    .option('-o, --out <file>', 'write to this file, which appears only when it is whole')
    .addOption(
      new Option('--format <name>', 'by default what the name of the file says, or ndjson').choices(FORMATS),
    )
    .option('--resume', 'go on where an interrupted export to the same file stopped')
    .option('--limit <rows>', 'stop after so many rows', positive)
    .option('--by-offset', 'page by offset, in the order that the parameters ask for')
    .option('--no-count', 'do not let the portal count for the progress bar')
    .option('--json', 'a summary as one line of JSON (stdout with --out, else stderr)')
    .option('-q, --quiet', 'neither progress nor summary')
    .option('--portal <portal>', 'webhook address of the portal, or its name in the settings')
    .addHelpText('after', EXAMPLES)
    .action(async (method: string, parameters: string[], flags: ListFlags) => {
      const params = parseKeyValues(parameters, flags.params === undefined ? {} : parseParams(flags.params))
      if (flags.resume === true && flags.out === undefined)
        throw new CommandError('ARGUMENT_INVALID', '--resume needs --out.', {
          hint: 'Only a file can be resumed: add --out FILE.',
        })
      keepHeapSmall()
      const client = await openClient(flags.portal === undefined ? {} : { portal: flags.portal })
      try {
        await run(io, client, method, params, flags)
      } finally {
        await client.close()
      }
    })
}

async function run(
  io: CliIo,
  caller: Caller,
  method: string,
  params: JsonObject,
  flags: ListFlags,
): Promise<void> {
  const { json = false, quiet = false } = flags
  const say = (text: string): void => {
    if (!quiet) io.stderr.write(`${text}\n`)
  }
  const formatName = flags.format ?? formatOf(flags.out)
  const path = flags.out === undefined ? undefined : resolve(io.cwd, flags.out)
  const mark = fingerprint([flags.portal ?? '', method, params, formatName, flags.byOffset === true])
  const file =
    path === undefined
      ? undefined
      : await PartFile.open(path, { fingerprint: mark, resume: flags.resume === true })
  const resumed = file?.from
  if (resumed !== undefined) say(`Going on behind id ${resumed.lastId}, after ${resumed.rows} rows.`)
  let summary: ExportSummary
  try {
    summary = await exportList({
      caller,
      method,
      params,
      format: createFormat(formatName, { select: params.select, columns: resumed?.columns }),
      target: file ?? streamSink(io.stdout),
      progress: createProgress(io, quiet, resumed?.rows),
      options: {
        signal: io.signal,
        withTotal: flags.count && !quiet && io.stderr.isTTY === true,
        ...(flags.byOffset === true && { mode: 'offset' as const }),
        ...(flags.limit !== undefined && { limit: flags.limit }),
      },
    })
  } catch (error) {
    if (path !== undefined) say(`Stopped. What was read is in ${path}.part; run again with --resume.`)
    throw asRead(error)
  }
  report(summary)

  function report({ rows, requests, seconds, rowsPerSecond, leftOut }: ExportSummary): void {
    if (leftOut.length > 0)
      say(
        `Fields that the first page did not have are not in the file: ${leftOut.join(', ')}. Name them in select.`,
      )
    if (json) {
      const rounded = { ...summary, seconds: Number(seconds.toFixed(3)) }
      const line = JSON.stringify({ method, ...rounded, ...(path !== undefined && { file: path }) })
      ;(path === undefined ? io.stderr : io.stdout).write(`${line}\n`)
      return
    }
    const speed = `${seconds.toFixed(1)} s, ${rowsPerSecond} rows/s`
    say(`${rows} rows, ${requests} requests, ${speed}${path === undefined ? '' : ` → ${path}`}`)
  }
}

/** A list only reads: even when a request may have reached the portal, nothing has happened there. */
function asRead(error: unknown): unknown {
  if (!(error instanceof TransportError) || !error.mayHaveRun) return error
  const { code, message, context, status, hint } = error
  return new TransportError(code, message, {
    sent: false,
    status,
    context,
    cause: error,
    ...(hint && { hint }),
  })
}

/**
 * Rows are garbage as soon as they are in the file. By default the engine lets that pile up to several times what is in
 * use before it looks; a third more is enough here, and costs no time that can be measured.
 */
function keepHeapSmall(): void {
  setFlagsFromString('--heap-growing-percent=30')
}

function positive(text: string): number {
  const number = Number(text)
  if (Number.isInteger(number) && number > 0) return number
  throw new InvalidArgumentError('It must be a whole number above 0.')
}

/** Without settings a portal is known by its webhook address alone. */
async function openByAddress({ portal }: { readonly portal?: string }): Promise<ListClient> {
  if (portal !== undefined) return createClient({ webhook: portal })
  throw new CommandError('PORTAL_MISSING', 'No portal was named.', {
    hint: 'Give the address of an inbound webhook: --portal https://example.bitrix24.com/rest/1/…/',
  })
}
