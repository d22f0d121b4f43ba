import type { Folder } from './folder.ts'

/** A bound that a figure must keep. */
export type Bound = { readonly most: number } | { readonly least: number }

/** One measured number, with what it is held against. */
export interface Figure {
  /** What was measured: `10,000 commands, native`. */
  readonly name: string
  readonly value: number
  readonly unit: string
  /** Left out for a figure that is only told. */
  readonly bound?: Bound
  /** The same thing done the plain way in this run, in words. */
  readonly baseline?: string
}

/** What a bench is given. */
export interface BenchContext {
  /** Fewer messages, ten times the portal's rate: a minute or so for everything. */
  readonly quick: boolean
  readonly amqpUrl: string
  /** A folder that is removed afterwards. */
  readonly folder: Folder
  /** Prints the figure and keeps it for the table. */
  figure(figure: Figure): void
  /** Tells people what is going on. */
  say(text: string): void
}

/** One bench; figures go to the context as they come. */
export interface Bench {
  readonly name: string
  /** One sentence. */
  readonly about: string
  run(context: BenchContext): Promise<void>
}

/** True when the figure keeps its bound, or has none. */
export function keeps({ value, bound }: Figure): boolean {
  if (bound === undefined) return true
  return 'most' in bound ? value <= bound.most : value >= bound.least
}
