import { describe, expect, it } from 'vitest'
import { createWaiting, SourceQueue, type Waiting } from '../../../src/client/lane/waiting.ts'
import type { LaneCall } from '../../../src/client/lane/work.ts'
import { parseWebhook, webhookCredential } from '../../../src/model/webhook.ts'

const WEBHOOK = webhookCredential(parseWebhook('https://example.bitrix24.com/rest/1/abc/'))

function item(name: string): Waiting {
  return createWaiting({ calls: [{ method: 'server.time', params: { name } }] }, WEBHOOK, 0, () => {})
}

const nameOf = ({ work }: Waiting): unknown => ((work.calls[0] as LaneCall).params as { name: string }).name
const names = (queue: SourceQueue): unknown[] => [...queue].map(nameOf)

describe('the queue of a source', () => {
  it('gives up exactly the items picked, however many have gone before', () => {
    const queue = new SourceQueue()
    const left: string[] = []
    let next = 0
    for (let round = 0; round < 40; round++) {
      while (queue.size < 480) {
        left.push(`i${next}`)
        queue.push(item(`i${next++}`))
      }
      // Indexes of a whole request, as a plan picks them, every third one left behind.
      const picks: number[] = []
      for (let at = queue.next(0); picks.length < 50 && at >= 0; at = queue.next(at + 1)) {
        if (picks.length % 3 !== 2 || round % 2 === 0) picks.push(at)
        else at = queue.next(at + 1)
      }
      const picked = picks.map((at) => nameOf(queue.at(at)))
      for (const at of picks) queue.remove(at)
      for (const name of picked) left.splice(left.indexOf(String(name)), 1)
      expect(names(queue)).toEqual(left)
    }
  })

  it('takes items back in front, and gives up single ones from anywhere', () => {
    const queue = new SourceQueue()
    const all = Array.from({ length: 600 }, (_, i) => item(`${i}`))
    for (const one of all) queue.push(one)
    for (let i = 0; i < 300; i++) queue.remove(queue.next(0))
    queue.unshift(all[0]!)
    expect(queue.removeItem(all[450]!)).toBe(true)
    expect(queue.removeItem(all[450]!)).toBe(false)
    expect(queue.removeItem(all[1]!)).toBe(false)
    queue.push(item('last'))
    expect(names(queue).slice(0, 2)).toEqual(['0', '300'])
    expect(names(queue)).not.toContain('450')
    expect(names(queue).at(-1)).toBe('last')
    expect(queue.size).toBe(301)
  })
})
