import { type FileHandle, open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Command } from 'commander'
import type { DeadLetters } from '../../bridge/dead/letters.ts'
import { contentFacts, letterFacts, originalFacts } from '../../bridge/dead/view.ts'
import type { LetterFilter } from '../../model/dead-letter.ts'
import { CommandError } from '../../model/errors.ts'
import { confirm } from '../confirm.ts'
import { addFilterFlags, counted, type FilterFlags, filterOf, requireChoice } from '../dead/filter.ts'
import { operator, withLetters } from '../dead/open.ts'
import { listLines, showLines } from '../dead/view.ts'
import type { CliIo } from '../io.ts'
import { printJson, printLines } from '../report.ts'
import { addSettingFlags, configOf } from '../settings.ts'
import { editCommand, retryCommand } from './dead-retry.ts'
import { whole } from './numbers.ts'

const EXAMPLES = `
Examples:
  b24-bridge dead list --reason BODY_NOT_JSON --since 2d
  b24-bridge dead show 5f0c2e7d9b1a4c3e8f6a7b0d1c2e3f40
  b24-bridge dead edit 5f0c2e7d9b1a4c3e8f6a7b0d1c2e3f40 id=7
  b24-bridge dead retry --reason REPLY_UNROUTABLE --dry-run
  b24-bridge dead export --out letters.ndjson`

/** `b24-bridge dead …`: what was set aside, to be looked at, mended, sent again or dropped. */
export function deadCommand(io: CliIo): Command {
  return new Command('dead')
    .description('Look at dead letters, mend them, send them again, drop them')
    .addHelpText('after', EXAMPLES)
    .addCommand(listCommand(io))
    .addCommand(showCommand(io))
    .addCommand(retryCommand(io))
    .addCommand(editCommand(io))
    .addCommand(dropCommand(io))
    .addCommand(exportCommand(io))
}

const NOTHING = 'No dead letter fits. The running service takes them over from their queue.'

interface ListFlags extends FilterFlags {
  readonly limit: number
  readonly after?: string
  readonly json?: boolean
}

function listCommand(io: CliIo): Command {
  const command = new Command('list').description('Show dead letters, the newest first')
  addFilterFlags(command, { now: Date.now })
    .option('--limit <count>', 'at most so many', whole(10_000), 50)
    .option('--after <cursor>', 'go on behind this place, as the page before named it')
    .option('--json', 'as one line of JSON')
    .action(async (flags: ListFlags) => {
      const config = configOf(command, io)
      const page = { limit: flags.limit, ...(flags.after === undefined ? {} : { after: flags.after }) }
      const { letters, next } = await withLetters(config, io, (all) => all.list(filterOf(flags), page))
      if (flags.json === true) return printJson(io, { letters: letters.map(letterFacts), next: next ?? null })
      if (letters.length === 0) return printLines(io, [NOTHING])
      printLines(io, listLines(letters, Date.now()))
      if (next !== undefined) printLines(io, [`There are more: --after ${next}`])
    })
  return addSettingFlags(command)
}

function showCommand(io: CliIo): Command {
  const command = new Command('show')
    .description('Show a dead letter with its message; credentials are masked')
    .argument('<id>', 'as `dead list` shows it')
    .option('--json', 'as one line of JSON')
    .action(async (id: string, flags: { readonly json?: boolean }) => {
      const config = configOf(command, io)
      const found = await withLetters(config, io, (letters) => letters.show(id))
      if (flags.json === true)
        printJson(io, { letter: letterFacts(found.letter), ...contentFacts(found.content) })
      else printLines(io, showLines(found, Date.now()))
    })
  return addSettingFlags(command)
}

interface DropFlags extends FilterFlags {
  readonly all?: boolean
  readonly yes?: boolean
  readonly json?: boolean
}

function dropCommand(io: CliIo): Command {
  const command = new Command('drop')
    .description('Forget dead letters for good; asks first')
    .argument('[ids...]', 'the letters; without any, those that the flags choose')
  addFilterFlags(command, { now: Date.now })
    .option('--all', 'every open letter, when no other flag chooses')
    .option('--yes', 'drop without asking')
    .option('--json', 'as one line of JSON')
    .action(async (ids: string[], flags: DropFlags) => {
      const config = configOf(command, io)
      if (ids.length === 0) requireChoice(flags)
      await withLetters(config, io, async (letters) => {
        const filter = filterOf(flags)
        const count = ids.length > 0 ? ids.length : await letters.count(filter)
        if (flags.yes !== true && count > 0) await confirm(io, `Drop ${counted(count)} for good?`)
        for (const id of ids) await letters.drop(id, operator())
        const dropped = ids.length > 0 ? ids.length : await dropChosen(letters, filter, io)
        if (flags.json === true) printJson(io, { dropped })
        else printLines(io, [`dropped: ${counted(dropped)}`])
      })
    })
  return addSettingFlags(command)
}

/** All of them, as they were counted before. */
async function dropChosen(letters: DeadLetters, filter: LetterFilter, { signal }: CliIo): Promise<number> {
  const limit = Number.POSITIVE_INFINITY
  return (await letters.dropMany(filter, { by: operator(), limit, signal })).dropped
}

interface ExportFlags extends FilterFlags {
  readonly out?: string
  readonly original?: boolean
}

function exportCommand(io: CliIo): Command {
  const command = new Command('export').description('Write dead letters with their messages, one JSON a line')
  addFilterFlags(command, { now: Date.now })
    .option('--out <file>', 'to this new file instead of stdout')
    .option('--original', 'bodies to the byte as base64, nothing masked in them')
    .action(async (flags: ExportFlags) => {
      const config = configOf(command, io)
      const file = flags.out === undefined ? undefined : await newFile(resolve(io.cwd, flags.out))
      let count = 0
      try {
        await withLetters(config, io, async (letters) => {
          for await (const { letter, content } of letters.each(filterOf(flags))) {
            const facts = flags.original === true ? originalFacts(content) : contentFacts(content)
            const line = `${JSON.stringify({ ...letterFacts(letter), ...facts })}\n`
            if (file === undefined) await written(io.stdout, line)
            else await file.write(line)
            count++
          }
        })
      } finally {
        await file?.close()
      }
      io.stderr.write(`${counted(count)}${flags.out === undefined ? '' : ` → ${flags.out}`}\n`)
    })
  return addSettingFlags(command)
}

/** A file of that name that is there already is left alone. */
async function newFile(path: string): Promise<FileHandle> {
  return open(path, 'wx').catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === 'EEXIST' ? 'is there already' : `cannot be made (${cause.code ?? ''})`
    throw new CommandError('FILE_UNAVAILABLE', `The file ${path} ${why}.`, {
      hint: 'Name another file.',
      cause,
    })
  })
}

async function written(stream: CliIo['stdout'], line: string): Promise<void> {
  if (!stream.write(line)) await new Promise((resume) => stream.once('drain', resume))
}
