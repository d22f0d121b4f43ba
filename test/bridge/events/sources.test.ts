import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { createSources } from '../../../src/bridge/events/sources.ts'

function open(lists: Record<string, readonly string[] | Error>) {
  const logged: string[] = []
  const sources = createSources({
    urls: Object.keys(lists),
    async read(url) {
      const list = lists[url] as readonly string[] | Error
      if (list instanceof Error) throw list
      return list
    },
    refreshMs: 10,
    log: (event) => logged.push(event),
  })
  onTestFinished(() => sources.close())
  sources.start()
  return { sources, logged }
}

// Lists are read again every ten milliseconds here.
const oneRound = () => sleep(30)

it('knows the addresses of all lists, also as sockets write them', async () => {
  const { sources } = open({ a: ['192.0.2.1'], b: ['2001:DB8::1'] })
  await oneRound()
  expect(['192.0.2.1', '::ffff:192.0.2.1', '2001:db8::1'].map(sources.isListed)).toEqual([true, true, true])
  expect(sources.isListed('192.0.2.2')).toBe(false)
})

it('stops nobody before every list could be read', async () => {
  const lists: Record<string, readonly string[] | Error> = { a: ['192.0.2.1'], b: new Error('away') }
  const { sources, logged } = open(lists)
  await oneRound()
  expect(sources.isListed('192.0.2.2')).toBe(true)
  expect(logged).toContain('event.sources')
  lists.b = ['192.0.2.3']
  await oneRound()
  expect(sources.isListed('192.0.2.2')).toBe(false)
})

it('keeps a list that cannot be read any more, and follows one that changes', async () => {
  const lists: Record<string, readonly string[] | Error> = { a: ['192.0.2.1'], b: ['192.0.2.3'] }
  const { sources } = open(lists)
  await oneRound()
  lists.a = new Error('away')
  lists.b = ['192.0.2.4']
  await oneRound()
  expect(['192.0.2.1', '192.0.2.3', '192.0.2.4'].map(sources.isListed)).toEqual([true, false, true])
})
