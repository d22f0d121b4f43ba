import type { Caller } from '../../client/lane/work.ts'
import { PAGE_ROWS } from '../../client/list/chain.ts'
import { type ListOptions, walkList } from '../../client/list/pages.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Format } from './format.ts'
import type { PartFile } from './part-file.ts'
import type { Progress } from './progress.ts'

/** Where the rows go. */
export interface RowSink {
  /** Resolves when more may come; `false` when nobody reads any more. */
  write(text: string): Promise<boolean>
}

/** What an export is made of. */
export interface ExportJob {
  readonly caller: Caller
  readonly method: string
  readonly params: JsonObject
  readonly format: Format
  /** A file that can be resumed, or a plain stream. */
  readonly target: PartFile | RowSink
  readonly progress: Progress
  readonly options: ListOptions
}

/** How an export ended. */
export interface ExportSummary {
  readonly rows: number
  readonly requests: number
  readonly seconds: number
  readonly rowsPerSecond: number
  /** Fields that are not in a CSV because the first page did not have them. */
  readonly leftOut: readonly string[]
  /** Rows that an earlier, interrupted run had written. */
  readonly resumedRows: number
}

/** Rows between two checkpoints: those of one full request. */
const CHECKPOINT_ROWS = 50 * PAGE_ROWS

/**
 * Walks the list into the target. A file gets a checkpoint after every 2,500 rows and when the walk breaks, so that
 * the next run goes on behind it; it gets its name only when it is whole. A walk by offset cannot be resumed.
 */
export async function exportList(job: ExportJob): Promise<ExportSummary> {
  const { format, progress } = job
  const file = 'checkpoint' in job.target ? job.target : undefined
  const from = file?.from
  const began = performance.now()
  const resumedRows = from?.rows ?? 0
  let rows = resumedRows
  let requests = from?.requests ?? 0
  let lastId = from?.lastId ?? null
  let saved = rows
  let headed = from !== undefined
  const write = async (text: string): Promise<boolean> => {
    if (!('checkpoint' in job.target)) return job.target.write(text)
    await job.target.write(text)
    return true
  }
  const save = async (): Promise<void> => {
    if (file === undefined || lastId === null) return
    await file.checkpoint({ lastId, rows, requests, ...(format.columns && { columns: format.columns }) })
    saved = rows
  }
  const { limit } = job.options
  const options: ListOptions = {
    ...job.options,
    ...(from && { after: from.lastId }),
    ...(limit === undefined ? {} : { limit: limit - resumedRows }),
  }
  try {
    if (limit === undefined || limit > resumedRows) {
      for await (const page of walkList(job.caller, job.method, job.params, options)) {
        const head = headed ? '' : format.head(page.rows)
        headed = true
        if (!(await write(head + format.rows(page.rows, rows)))) break
        rows += page.rows.length
        requests = (from?.requests ?? 0) + page.requests
        // A walk that turned to offsets has no place to resume at, and an old one would give rows twice.
        if (page.lastId === null && lastId !== null) await file?.forget()
        lastId = page.lastId
        if (rows - saved >= CHECKPOINT_ROWS) await save()
        progress.update({ rows, requests, total: page.total === null ? null : page.total + resumedRows })
      }
    }
    await write(format.tail())
    await file?.finish()
  } catch (error) {
    // A disk that is full fails twice; the first error is the one to tell.
    await save().catch(() => undefined)
    throw error
  } finally {
    progress.stop()
    await file?.close()
  }
  const seconds = (performance.now() - began) / 1000
  const rowsPerSecond = Math.round((rows - resumedRows) / Math.max(seconds, 0.001))
  return { rows, requests, seconds, rowsPerSecond, leftOut: format.leftOut, resumedRows }
}

/** A stream as the end of an export: waits while it is full, and says when its reader has left (`| head`). */
export function streamSink(stream: NodeJS.WritableStream): RowSink {
  let gone = false
  stream.once('error', () => {
    gone = true
  })
  return {
    write: (text) =>
      new Promise((resolve, reject) => {
        if (gone) return resolve(false)
        if (text === '') return resolve(true)
        stream.write(text, (error) => {
          if (error === null || error === undefined) return resolve(true)
          if ('code' in error && (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED'))
            return resolve(false)
          reject(error)
        })
      }),
  }
}
