import { describe, expect, it } from 'vitest'
import { mayHold } from '../../../src/bridge/commands/held.ts'

const PREFETCH = 300

/** Portals that never answer send so many commands each, one portal after another; what is in hand then. */
function hang(portals: number, commands: number, prefetch = PREFETCH): number[] {
  const held = Array.from({ length: portals }, () => 0)
  let all = 0
  for (let portal = 0; portal < portals; portal++) {
    for (let command = 0; command < commands && all < prefetch; command++) {
      const now = (held[portal] as number) + 1
      if (now > mayHold({ all: all + 1 }, { prefetch, isBlocked: false })) break
      held[portal] = now
      all++
    }
  }
  return held
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, number) => all + number, 0)

describe('what a portal may hold of a common queue', () => {
  it('is half of the prefetch while there is room', () => {
    expect(hang(1, 1000)).toEqual([150])
    expect(mayHold({ all: 150 }, { prefetch: PREFETCH, isBlocked: false })).toBe(150)
  })

  it('leaves room for others when thirty portals hang at the same moment', () => {
    expect(sum(hang(10, 100))).toBeLessThan(PREFETCH * 0.75)
    expect(sum(hang(30, 100))).toBeLessThan(PREFETCH)
  })

  it('is never less than three commands, so that a crowd of quick portals is left in peace', () => {
    for (let all = 1; all <= PREFETCH; all++)
      expect(mayHold({ all }, { prefetch: PREFETCH, isBlocked: false })).toBeGreaterThanOrEqual(3)
  })

  it('is little for a portal that cannot be called, and nothing when others need the room', () => {
    expect(mayHold({ all: 150 }, { prefetch: PREFETCH, isBlocked: true })).toBe(10)
    expect(mayHold({ all: 151 }, { prefetch: PREFETCH, isBlocked: true })).toBe(0)
  })

  it('is never more than the prefetch, however small that is', () => {
    expect(hang(3, 10, 1)).toEqual([1, 0, 0])
    expect(sum(hang(3, 10, 2))).toBeLessThanOrEqual(2)
    expect(sum(hang(50, 10, 7))).toBeLessThanOrEqual(7)
  })
})
