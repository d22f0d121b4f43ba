import { expect, it } from 'vitest'
import { createRecent } from '../../../src/bridge/events/recent.ts'

function open(most = 100) {
  let now = 0
  const recent = createRecent({ windowMs: 1000, most, now: () => now })
  return {
    recent,
    advance(ms: number) {
      now += ms
    },
  }
}

it('does the same once within the time, and again after it', async () => {
  const { recent, advance } = open()
  let done = 0
  const act = async (): Promise<number> => ++done
  expect(await recent.once('a', act)).toBe(1)
  expect(await recent.once('a', act)).toBe('again')
  advance(1000)
  expect(await recent.once('a', act)).toBe(2)
})

it('answers a repetition when the first one has ended well, and lets it try after a failure', async () => {
  const { recent } = open()
  let fail = (_: Error): void => {}
  const failing = new Promise((_, reject) => {
    fail = reject
  })
  const first = recent.once('a', () => failing)
  const second = recent.once('a', async () => 'never')
  fail(new Error('away'))
  await expect(first).rejects.toThrow('away')
  await expect(second).rejects.toThrow('away')
  expect(await recent.once('a', async () => 'done')).toBe('done')
})

it('forgets the oldest when there are too many', async () => {
  const { recent } = open(2)
  const act = async (): Promise<string> => 'done'
  for (const key of ['a', 'b', 'c']) await recent.once(key, act)
  expect(await recent.once('c', act)).toBe('again')
  expect(await recent.once('a', act)).toBe('done')
})
