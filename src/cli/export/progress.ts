import cliProgress from 'cli-progress'
import type { CliIo } from '../io.ts'

/** Shows how far an export is. */
export interface Progress {
  update(state: { readonly rows: number; readonly requests: number; readonly total: number | null }): void
  stop(): void
}

/** A progress bar on a terminal; nothing at all elsewhere, or when asked to be quiet. */
export function createProgress(io: Pick<CliIo, 'stderr'>, quiet: boolean, resumedRows = 0): Progress {
  if (quiet || io.stderr.isTTY !== true) return { update: () => {}, stop: () => {} }
  const began = performance.now()
  let bar: cliProgress.SingleBar | undefined
  return {
    update({ rows, requests, total }) {
      const seconds = (performance.now() - began) / 1000
      const speed = seconds < 0.05 ? '–' : Math.round((rows - resumedRows) / seconds)
      const payload = { requests, speed }
      const known = total !== null && total >= rows && total > 0
      if (bar === undefined) {
        const counts = `${known ? '{bar} {value}/{total}' : '{value}'} rows · {speed} rows/s · {requests} requests`
        bar = new cliProgress.SingleBar(
          {
            format: known ? `${counts} · {eta_formatted} left` : counts,
            stream: io.stderr,
            hideCursor: true,
            clearOnComplete: true,
            barsize: 24,
          },
          cliProgress.Presets.shades_classic,
        )
        bar.start(known ? total : rows, rows, payload)
        return
      }
      if (rows > bar.getTotal()) bar.setTotal(rows)
      bar.update(rows, payload)
    },
    stop: () => bar?.stop(),
  }
}
