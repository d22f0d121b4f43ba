import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import type { LetterEdit } from '../../bridge/dead/edit.ts'
import type { DeadLetters } from '../../bridge/dead/letters.ts'
import type { Sent } from '../../bridge/dead/retry.ts'
import { MOST_LETTERS, RATE_PER_SECOND, type RetriedMany } from '../../bridge/dead/retry-many.ts'
import { contentFacts, letterFacts } from '../../bridge/dead/view.ts'
import { CommandError } from '../../model/errors.ts'
import { parseKeyValues, parseParams } from '../arguments.ts'
import { addFilterFlags, counted, type FilterFlags, filterOf, requireChoice } from '../dead/filter.ts'
import { operator, withLetters } from '../dead/open.ts'
import { EXIT } from '../exit-codes.ts'
import type { CliIo } from '../io.ts'
import { printJson, printLines } from '../report.ts'
import { addSettingFlags, configOf } from '../settings.ts'
import { whole } from './numbers.ts'

interface SendFlags {
  readonly newId?: boolean
  readonly toQueue?: string
  readonly again?: boolean
  readonly dryRun?: boolean
  readonly json?: boolean
}

interface RetryFlags extends FilterFlags, SendFlags {
  readonly all?: boolean
  readonly rate: number
  readonly limit: number
}

/** Sends letters again as they were. */
export function retryCommand(io: CliIo): Command {
  const command = new Command('retry')
    .description('Send dead letters again to the queue that they came from, as they were')
    .argument('[ids...]', 'the letters; without any, the open ones that the flags choose')
  addSendFlags(addFilterFlags(command, { now: Date.now }))
    .option('--all', 'every open letter, when no other flag chooses')
    .option('--rate <count>', 'so many a second', rate, RATE_PER_SECOND)
    .option('--limit <count>', 'at most so many', whole(1_000_000), MOST_LETTERS)
    .action(async (ids: string[], flags: RetryFlags) => {
      const config = configOf(command, io)
      if (ids.length === 0) requireChoice(flags)
      await withLetters(config, io, (letters) =>
        ids.length > 0 ? retryNamed(io, letters, ids, flags) : retryChosen(io, letters, flags),
      )
    })
  return addSettingFlags(command)
}

/** One after another; the first that cannot be sent ends it. */
async function retryNamed(
  io: CliIo,
  letters: DeadLetters,
  ids: readonly string[],
  flags: SendFlags,
): Promise<void> {
  for (const id of ids) {
    io.signal.throwIfAborted()
    report(io, await letters.retry(id, { by: operator(), ...howOf(flags) }), flags)
  }
}

/** Ends with exit code 4 when a letter could not be sent. */
async function retryChosen(io: CliIo, letters: DeadLetters, flags: RetryFlags): Promise<void> {
  const all = await letters.retryMany(filterOf(flags), {
    by: operator(),
    ...howOf(flags),
    ratePerSecond: flags.rate,
    limit: flags.limit,
    signal: io.signal,
  })
  if (all.failed > 0) io.exit(EXIT.unreachable)
  const { problems, ...counts } = all
  if (flags.json === true) {
    const shown = problems.map(({ letter, end, code, why }) => ({ id: letter.id, end, code, why }))
    printJson(io, { ...counts, problems: shown })
  } else printLines(io, manyLines(all))
}

function manyLines({ sent, wouldSend, skipped, failed, whole: isWhole, problems }: RetriedMany): string[] {
  const counts: [number, string][] = [
    [sent, 'sent again'],
    [wouldSend, 'would be sent again'],
    [skipped, 'skipped'],
    [failed, 'could not be sent, and stay open'],
  ]
  const said = counts.filter(([count]) => count > 0).map(([count, what]) => `${counted(count)} ${what}`)
  return [
    ...(said.length === 0 ? ['No open letter fits.'] : said),
    ...problems.map(({ letter, why = '' }) => `  ${letter.id}  ${why}`),
    ...(isWhole ? [] : ['It was interrupted; the others stay open.']),
  ]
}

interface EditFlags extends SendFlags {
  readonly body?: string
  readonly bodyFile?: string
  readonly method?: string
  readonly params?: string
  readonly header: readonly (readonly [string, string | null])[]
}

/** Sends one letter again with changes; the letter itself stays as it was. */
export function editCommand(io: CliIo): Command {
  const command = new Command('edit')
    .description('Send a dead letter again with changes; the letter itself stays as it was')
    .argument('<id>', 'as `dead list` shows it')
    .argument('[parameters...]', 'laid over its parameters: id=7, fields[TITLE]=x, or key:=JSON')
    .option('--params <json>', 'parameters instead of those that are there')
    .option('--method <method>', 'another method')
    .option('--body <text>', 'a whole new body')
    .option('--body-file <file>', 'a whole new body from a file')
    .option('--header <name=value>', 'sets a header, or removes it: name=; may be repeated', header, [])
  addSendFlags(command).action(async (id: string, parameters: string[], flags: EditFlags) => {
    const config = configOf(command, io)
    const edit = editOf(io, parameters, flags)
    await withLetters(config, io, async (letters) =>
      report(io, await letters.retry(id, { by: operator(), edit, ...howOf(flags) }), flags),
    )
  })
  return addSettingFlags(command)
}

function editOf(io: CliIo, parameters: readonly string[], flags: EditFlags): LetterEdit {
  const { params, method } = flags
  const fresh = params === undefined ? undefined : parseParams(params)
  // A typing mistake shows before the store is opened.
  parseKeyValues(parameters)
  const edit: LetterEdit = {
    ...(flags.body === undefined ? {} : { body: Buffer.from(flags.body) }),
    ...(flags.bodyFile === undefined ? {} : { body: readBody(resolve(io.cwd, flags.bodyFile)) }),
    ...(method === undefined ? {} : { method }),
    ...(fresh === undefined && parameters.length === 0
      ? {}
      : { params: (before) => parseKeyValues(parameters, fresh ?? before) }),
    ...(flags.header.length === 0 ? {} : { headers: Object.fromEntries(flags.header) }),
  }
  if (Object.keys(edit).length > 0) return edit
  throw new CommandError('ARGUMENT_INVALID', 'No change was given.', {
    hint: 'Give key=value, --params, --method, --body, --body-file or --header; `dead retry` sends it as it was.',
  })
}

function readBody(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new CommandError('FILE_UNAVAILABLE', `The file ${path} cannot be read.`, {
      hint: 'Check its name and its rights.',
      cause,
    })
  }
}

function addSendFlags(command: Command): Command {
  return command
    .option('--new-id', 'under a fresh message id: it runs whatever became of the first one')
    .option('--to-queue <name>', 'to this queue instead')
    .option('--again', 'although it was sent again before')
    .option('--dry-run', 'send nothing, and say what would be sent')
    .option('--json', 'as one line of JSON')
}

function howOf({ newId, toQueue, again, dryRun }: SendFlags): {
  newId?: boolean
  again?: boolean
  queue?: string
  dryRun?: boolean
} {
  return {
    ...(newId === true ? { newId } : {}),
    ...(toQueue === undefined ? {} : { queue: toQueue }),
    ...(again === true ? { again } : {}),
    ...(dryRun === true ? { dryRun } : {}),
  }
}

function report(io: CliIo, { letter, address, message }: Sent, { json, dryRun }: SendFlags): void {
  const isSent = dryRun !== true
  const { body, headers, ...properties } = message
  const content = contentFacts({
    properties: JSON.stringify({ ...properties, headers }),
    secretHeaders: {},
    body,
  })
  if (json === true) {
    const messageId = message.messageId ?? null
    printJson(io, { sent: isSent, letter: letterFacts(letter), address, messageId, ...content })
    return
  }
  const where =
    address.exchange === '' ? `queue ${address.routingKey}` : `${address.exchange} ${address.routingKey}`
  printLines(io, [
    `${isSent ? 'sent' : 'would be sent'}: ${letter.id} to ${where}`,
    ...(isSent ? [] : [`  ${content.body ?? content.bodyBase64}`]),
  ])
}

function rate(text: string): number {
  const number = Number(text)
  if (/^\d+(\.\d+)?$/.test(text) && number > 0 && number <= 10_000) return number
  throw new InvalidArgumentError('It must be a number above 0, at most 10000.')
}

function header(
  text: string,
  before: readonly (readonly [string, string | null])[],
): (readonly [string, string | null])[] {
  const at = text.indexOf('=')
  if (at <= 0) throw new InvalidArgumentError('It must be written name=value.')
  const value = text.slice(at + 1)
  return [...before, [text.slice(0, at), value === '' ? null : value]]
}
