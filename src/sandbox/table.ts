import type { Json } from '../model/json.ts'

/** One object of the portal under its upper-case field names; `ID` is a string of digits. */
export type Row = Record<string, Json>

/** Where the rows of a table come from. */
export interface TableSeed {
  /** Objects that exist from the start, with the ids 1…count. */
  readonly count: number
  /** The object with this id: always the same one, made when asked for. */
  readonly generate: (id: number) => Row
  /** Fields that are empty in every generated row, so that looking for a value needs no scan. */
  readonly blank?: ReadonlySet<string>
}

/**
 * Objects of one kind. Seeded ones are made when read and cost nothing; what was written stands in an overlay, what
 * was deleted in a sorted list. Ids are never used again.
 */
export class Table {
  readonly #seed: TableSeed
  readonly #written = new Map<number, Row>()
  readonly #deleted: number[] = []
  #lastId: number

  constructor(seed: TableSeed) {
    this.#seed = seed
    this.#lastId = seed.count
  }

  /** The highest id given out so far. */
  get lastId(): number {
    return this.#lastId
  }

  /** The object, or `undefined` when there is none; must not be changed. */
  get(id: number): Row | undefined {
    if (!Number.isInteger(id) || id < 1 || id > this.#lastId || this.#isDeleted(id)) return undefined
    return this.#written.get(id) ?? this.#seed.generate(id)
  }

  /** Stores a new object and gives its id. */
  insert(row: Row): number {
    this.#lastId += 1
    this.#written.set(this.#lastId, { ...row, ID: String(this.#lastId) })
    return this.#lastId
  }

  /** Changes the fields given; false when there is no such object. */
  update(id: number, fields: Row): boolean {
    const row = this.get(id)
    if (row === undefined) return false
    this.#written.set(id, { ...row, ...fields })
    return true
  }

  /** False when there is no such object. */
  remove(id: number): boolean {
    if (this.get(id) === undefined) return false
    this.#written.delete(id)
    this.#deleted.splice(this.#deletedBefore(id), 0, id)
    return true
  }

  /** How many objects have ids from `low` to `high`, both included. */
  countBetween(low: number, high: number): number {
    const from = Math.max(1, low)
    const to = Math.min(this.#lastId, high)
    if (to < from) return 0
    return to - from + 1 - (this.#deletedBefore(to + 1) - this.#deletedBefore(from))
  }

  /** Ids from `low` to `high` in the direction asked for, after leaving out the first `skip`. */
  *ids(low: number, high: number, descending: boolean, skip = 0): Generator<number> {
    const from = Math.max(1, low)
    const to = Math.min(this.#lastId, high)
    const step = descending ? -1 : 1
    for (let id = this.#nth(from, to, descending, skip); id >= from && id <= to; id += step) {
      if (!this.#isDeleted(id)) yield id
    }
  }

  /** Ids that can have a value in `field`: the written ones when seeded rows have none there, else `undefined`. */
  idsWithValue(field: string): number[] | undefined {
    if (!this.#seed.blank?.has(field)) return undefined
    return [...this.#written.keys()].sort((a, b) => a - b)
  }

  /** The id that stands `skip` existing ids behind the start of the range. */
  #nth(from: number, to: number, descending: boolean, skip: number): number {
    const deleted = this.#deleted
    if (descending) {
      let id = to - skip
      for (let i = this.#deletedBefore(to + 1) - 1; i >= 0 && deleted[i]! >= id; i--) id -= 1
      return id
    }
    let id = from + skip
    for (let i = this.#deletedBefore(from); i < deleted.length && deleted[i]! <= id; i++) id += 1
    return id
  }

  #isDeleted(id: number): boolean {
    return this.#deleted.length > 0 && this.#deleted[this.#deletedBefore(id)] === id
  }

  /** How many deleted ids are smaller than `id`. */
  #deletedBefore(id: number): number {
    let low = 0
    let high = this.#deleted.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#deleted[middle]! < id) low = middle + 1
      else high = middle
    }
    return low
  }
}
