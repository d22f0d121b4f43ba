import type { Json } from '../model/json.ts'

/** One object of the portal under its upper-case field names; `ID` is a string of digits. */
export type Row = Record<string, Json>

/** Where the rows of a table come from. */
export interface TableSeed {
  /** Objects that exist from the start, with the ids 1…count. */
  readonly count: number
  /** The object with this id: always the same one, made when asked for. */
  readonly generate: (id: number) => Row
  /** Fields that are empty in every generated row; written values of them are found without a scan. */
  readonly keys?: readonly string[]
}

/**
 * Objects of one kind. Seeded ones are made when read and cost nothing; what was written stands in an overlay, what
 * was deleted in a sorted list. Ids are never used again.
 */
export class Table {
  readonly #seed: TableSeed
  readonly #written = new Map<number, Row>()
  readonly #deleted: number[] = []
  readonly #byKey: ReadonlyMap<string, Map<string, Set<number>>>
  #lastId: number

  constructor(seed: TableSeed) {
    this.#seed = seed
    this.#lastId = seed.count
    this.#byKey = new Map((seed.keys ?? []).map((field) => [field, new Map()]))
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
    this.#write(this.#lastId, { ...row, ID: String(this.#lastId) })
    return this.#lastId
  }

  /** Changes the fields given; false when there is no such object. */
  update(id: number, fields: Row): boolean {
    const row = this.get(id)
    if (row === undefined) return false
    this.#write(id, { ...row, ...fields })
    return true
  }

  /** False when there is no such object. */
  remove(id: number): boolean {
    if (this.get(id) === undefined) return false
    this.#forget(id)
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

  /** Ids of the rows that have this value in `field`, or `undefined` when the field is not one of the keys. */
  idsWithValue(field: string, value: string): number[] | undefined {
    const byValue = this.#byKey.get(field)
    return byValue === undefined ? undefined : [...(byValue.get(value) ?? [])]
  }

  #write(id: number, row: Row): void {
    this.#forget(id)
    this.#written.set(id, row)
    for (const [field, byValue] of this.#byKey) {
      const value = String(row[field] ?? '')
      const ids = byValue.get(value)
      if (ids !== undefined) ids.add(id)
      else if (value !== '') byValue.set(value, new Set([id]))
    }
  }

  #forget(id: number): void {
    const row = this.#written.get(id)
    if (row === undefined) return
    for (const [field, byValue] of this.#byKey) byValue.get(String(row[field] ?? ''))?.delete(id)
    this.#written.delete(id)
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
