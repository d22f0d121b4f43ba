import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PushConfig } from '../../../src/client/push/config.ts'
import { PushCore, type PushCoreOptions } from '../../../src/client/push/core.ts'
import type { PushAction, PushInput } from '../../../src/client/push/moves.ts'

const SECOND = 1000
const MINUTE = 60_000
const HOUR = 3_600_000
const START = Date.UTC(2026, 0, 1)

const CONFIG: PushConfig = {
  version: 4,
  websocket: 'wss://push.example.com/subws/',
  longPolling: 'https://push.example.com/sub/',
  channels: ['a'.repeat(32), 'b'.repeat(32)],
  expiresAt: START + 12 * HOUR,
  revision: 19,
}

const mid = (n: number): string => `1767225600${String(n).padStart(16, '0')}`
const said = (
  n: number,
  text: object = { module_id: 'application', command: 'hello', params: { n } },
): string => JSON.stringify({ mid: mid(n), text })
const control = (command: string, n = 1, params: object = {}): string =>
  said(n, { module_id: 'pull', command, params })

type Bare = PushInput extends infer One ? (One extends { turn: number } ? Omit<One, 'turn'> : One) : never

const TURNED = new Set(['configured', 'refused', 'opened', 'alive', 'frame', 'closed', 'polled'])

/** A connection with a clock that only the test moves. */
class Bench {
  readonly core: PushCore
  now = START
  turn = 0
  /** What was done, in order. */
  readonly done: PushAction[] = []

  constructor(options: Partial<PushCoreOptions> = {}) {
    this.core = new PushCore({ random: () => 0, ...options })
  }

  tell(input: Bare | PushInput): PushAction[] {
    const turned = TURNED.has(input.type) ? { turn: this.turn } : {}
    const actions = this.core.handle({ ...turned, ...input } as PushInput, this.now)
    for (const action of actions) if ('turn' in action) this.turn = action.turn
    this.done.push(...actions)
    return [...actions]
  }

  /** Goes on to where the connection wants to be woken, and says how long that was. */
  wait(): number {
    const { wakeAt } = this.core
    if (wakeAt === undefined) throw new Error(`nothing is waited for in ${this.core.mode}`)
    const waited = wakeAt - this.now
    this.now = wakeAt
    this.tell({ type: 'tick' })
    return waited
  }

  open(config = CONFIG): this {
    this.tell({ type: 'start' })
    this.tell({ type: 'configured', config })
    this.tell({ type: 'opened' })
    return this
  }

  last<Kind extends PushAction['do']>(kind: Kind): Extract<PushAction, { do: Kind }> {
    const found = this.done.findLast((action) => action.do === kind)
    if (found === undefined) throw new Error(`${kind} was never done`)
    return found as Extract<PushAction, { do: Kind }>
  }

  address(kind: 'connect' | 'poll' = 'connect'): URL {
    return new URL(this.last(kind).address)
  }

  count(kind: PushAction['do']): number {
    return this.done.filter((action) => action.do === kind).length
  }
}

const refuse = { type: 'closed', code: 1006, text: '' } as const

describe('the first steps', () => {
  it('asks for the configuration, connects to all channels, and begins from now', () => {
    const bench = new Bench()
    expect(bench.tell({ type: 'start' })).toEqual([{ do: 'ask', turn: 1 }])
    bench.tell({ type: 'configured', config: { ...CONFIG, clientId: 'acc' } })
    const { origin, pathname, searchParams } = bench.address()
    expect([origin, pathname]).toEqual(['wss://push.example.com', '/subws/'])
    expect(Object.fromEntries(searchParams)).toEqual({
      CHANNEL_ID: CONFIG.channels.join('/'),
      clientId: 'acc',
      format: 'json',
      revision: '19',
    })
    expect(bench.tell({ type: 'opened' })).toEqual([
      { do: 'connected', transport: 'websocket', begin: { since: START } },
    ])
    expect(bench.core.mode).toBe('open')
  })

  it('goes on where an earlier process stopped', () => {
    const bench = new Bench({ position: { mid: mid(5) } }).open()
    expect(bench.address().searchParams.get('mid')).toBe(mid(5))
    expect(bench.last('connected').begin).toBeUndefined()
  })

  it('shows the token instead of the channels where there is one', () => {
    const bench = new Bench().open({ ...CONFIG, version: 5, jwt: 'j.w.t' })
    const query = Object.fromEntries(bench.address().searchParams)
    expect(query).toEqual({ token: 'j.w.t', jsonRpc: 'true', revision: '19' })
  })

  it('asks for protobuf when told so', () => {
    const bench = new Bench({ format: 'binary' }).open()
    expect(bench.address().searchParams.get('binaryMode')).toBe('true')
  })

  it('halts before a protocol of another revision, and looks again after ten minutes', () => {
    const bench = new Bench().open({ ...CONFIG, revision: 20 })
    expect(bench.core.mode).toBe('halted')
    expect(bench.last('report')).toMatchObject({ event: 'push.revision', fields: { revision: 20 } })
    expect(bench.wait()).toBe(10 * MINUTE)
    expect(bench.core.mode).toBe('asking')
  })

  it('halts where the portal has nothing for us, until somebody says that this has changed', () => {
    const bench = new Bench()
    bench.tell({ type: 'start' })
    bench.tell({ type: 'refused', code: 'PUSH_OFF', lasting: true })
    expect(bench.core.mode).toBe('halted')
    bench.tell({ type: 'retry' })
    expect(bench.core.mode).toBe('asking')
  })
})

describe('after an error', () => {
  it('waits as the documentation says, and never less', () => {
    const bench = new Bench()
    bench.tell({ type: 'start' })
    bench.tell({ type: 'configured', config: { version: 4, websocket: CONFIG.websocket!, channels: ['c'] } })
    const waits: number[] = []
    for (let error = 1; error <= 12; error++) {
      bench.tell(refuse)
      waits.push(bench.wait())
      if (bench.core.mode === 'asking') bench.tell({ type: 'configured', config: CONFIG })
    }
    expect(waits).toEqual([
      100,
      15 * SECOND,
      ...[45, 45, 45].map((s) => s * SECOND),
      ...[10, 10, 10, 10, 10].map((m) => m * MINUTE),
      HOUR,
      HOUR,
    ])
  })

  it('adds a fifth at most, by chance', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (chance) => {
        const bench = new Bench({ random: () => chance })
        bench.tell({ type: 'start' })
        bench.tell({ type: 'configured', config: CONFIG })
        for (const plain of [100, 15_000]) {
          bench.tell(refuse)
          const waited = bench.wait()
          expect(waited).toBeGreaterThanOrEqual(plain)
          expect(waited).toBeLessThanOrEqual(plain * 1.2 + 1)
        }
      }),
    )
  })

  it('counts anew after a connection that held, not after one that was ended at once', () => {
    const bench = new Bench().open()
    const waits: number[] = []
    for (const lived of [0, 0, 20 * SECOND, 0]) {
      bench.now += lived
      bench.tell(refuse)
      waits.push(bench.wait())
      bench.tell({ type: 'opened' })
    }
    expect(waits).toEqual([100, 15 * SECOND, 100, 15 * SECOND])
  })

  it('asks for the configuration again from the third on: the address itself may be wrong', () => {
    const bench = new Bench().open()
    const modes: string[] = []
    for (let error = 1; error <= 3; error++) {
      bench.tell(refuse)
      bench.wait()
      modes.push(bench.core.mode)
    }
    expect(modes).toEqual(['opening', 'opening', 'asking'])
  })

  it('gives up a socket that does not open', () => {
    const bench = new Bench()
    bench.tell({ type: 'start' })
    bench.tell({ type: 'configured', config: CONFIG })
    expect(bench.wait()).toBe(20 * SECOND)
    expect(bench.last('close').code).toBe(3005)
    expect(bench.wait()).toBe(100)
  })

  it.each([4010, 4017, 4019, 4021, 4025, 4036])('asks for new channels after 6 to 35 seconds: %i', (code) => {
    for (const chance of [0, 1]) {
      const bench = new Bench({ random: () => chance }).open()
      bench.tell({ type: 'closed', code, text: '' })
      expect(bench.wait()).toBe(chance === 0 ? 6 * SECOND : 35 * SECOND)
      expect(bench.core.mode).toBe('asking')
    }
  })

  it('reads the code in the text of a refusal', () => {
    const bench = new Bench()
    bench.tell({ type: 'start' })
    bench.tell({ type: 'configured', config: CONFIG })
    bench.tell({ type: 'closed', code: 1006, text: '4036: Wrong Client Id.' })
    expect(bench.wait()).toBe(6 * SECOND)
    expect(bench.core.mode).toBe('asking')
  })

  it('rests for fifteen seconds where there are too many connections', () => {
    const bench = new Bench().open()
    bench.tell({ type: 'closed', code: 4029, text: '' })
    expect(bench.wait()).toBe(15 * SECOND)
  })

  it('asks for a new token where the one that it has is over', () => {
    const bench = new Bench().open({ ...CONFIG, jwt: 'j.w.t' })
    bench.now = CONFIG.expiresAt!
    bench.tell(refuse)
    bench.wait()
    expect(bench.core.mode).toBe('asking')
  })

  it('keeps asking a portal that does not answer, ten seconds apart at least', () => {
    const bench = new Bench()
    bench.tell({ type: 'start' })
    const waits = [1, 2, 3].map(() => {
      bench.tell({ type: 'refused', code: 'NETWORK', lasting: false })
      return bench.wait()
    })
    expect(waits).toEqual([10, 15, 45].map((s) => s * SECOND))
  })
})

describe('what the server says about the connection', () => {
  it.each(['reconnect', 'get_config'])('gets new channels when they have run out: %s', (action) => {
    const bench = new Bench().open()
    bench.now += MINUTE
    bench.tell({ type: 'frame', data: control('CHANNEL_EXPIRE', 1, { action }) })
    expect(bench.last('close').code).toBe(3001)
    expect(bench.core.mode).toBe('asking')
    bench.tell({ type: 'configured', config: { ...CONFIG, channels: ['c'] } })
    expect(bench.address().searchParams.get('CHANNEL_ID')).toBe('c')
    expect(bench.address().searchParams.get('mid')).toBe(mid(1))
  })

  it('does not run in circles with a server that keeps saying so', () => {
    const bench = new Bench().open()
    for (let n = 1; n <= 3; n++) {
      bench.tell({ type: 'frame', data: control('channel_expire', n) })
      expect(bench.wait()).toBe(10 * SECOND)
      bench.tell({ type: 'configured', config: CONFIG })
      bench.tell({ type: 'opened' })
    }
  })

  it.each([
    ['config_expire', 3003],
    ['server_restart', 3002],
  ])('disconnects, and asks after 10 to 120 seconds: %s', (command, code) => {
    for (const chance of [0, 1]) {
      const bench = new Bench({ random: () => chance }).open()
      bench.tell({ type: 'frame', data: control(command) })
      expect(bench.last('close').code).toBe(code)
      expect(bench.wait()).toBe(chance === 0 ? 10 * SECOND : 120 * SECOND)
      expect(bench.core.mode).toBe('asking')
    }
  })

  it('delivers the messages beside it first', () => {
    const bench = new Bench().open()
    const both = `#!NGINXNMS!#${said(1)}#!NGINXNME!##!NGINXNMS!#${control('server_restart', 2)}#!NGINXNME!#`
    const kinds = bench.tell({ type: 'frame', data: both }).map((action) => action.do)
    expect(kinds).toEqual(['deliver', 'close', 'report'])
    expect(bench.last('deliver').messages.map((one) => one.mid)).toEqual([mid(1), mid(2)])
  })

  it('takes a restart of yesterday, told by the history, for no news', () => {
    const bench = new Bench({ position: { mid: mid(0) } }).open()
    const text = { module_id: 'pull', command: 'server_restart', params: {} }
    const old = { mid: mid(1), text, extra: { server_time_unix: (START - HOUR) / 1000 } }
    bench.tell({ type: 'frame', data: JSON.stringify(old) })
    expect(bench.core.mode).toBe('open')
  })

  it('gets new channels when their time is over, though nobody says so', () => {
    const bench = new Bench().open()
    while (bench.core.mode === 'open') {
      bench.wait()
      bench.tell({ type: 'alive' })
    }
    expect(bench.now).toBe(CONFIG.expiresAt)
    expect(bench.last('close').code).toBe(3003)
    expect(bench.core.mode).toBe('asking')
  })

  it('asks once a minute at most where the clocks differ so much that new channels are old', () => {
    const bench = new Bench().open({ ...CONFIG, expiresAt: START - HOUR })
    expect(bench.wait()).toBe(MINUTE)
    expect(bench.core.mode).toBe('asking')
  })
})

describe('messages', () => {
  it('come once, in order, however often the server tells them', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(30), { minLength: 1, maxLength: 60 }), (numbers) => {
        const bench = new Bench().open()
        for (const n of numbers) bench.tell({ type: 'frame', data: said(n) })
        const got = bench.done.flatMap((action) =>
          action.do === 'deliver' ? action.messages.map((one) => one.mid) : [],
        )
        expect(got).toEqual([...new Set(numbers)].map(mid))
        bench.tell(refuse)
        bench.wait()
        expect(bench.address().searchParams.get('mid')).toBe(mid(Math.max(...numbers)))
      }),
    )
  })

  it('of the time before are not asked for at first, and those of a cut are, even when none had come', () => {
    const bench = new Bench().open()
    expect(bench.address().searchParams.get('mid')).toBeNull()
    bench.now += HOUR
    bench.tell(refuse)
    bench.wait()
    expect(bench.address().searchParams.get('mid')).toBe('0'.repeat(26))
    bench.tell({ type: 'opened' })
    const at = (seconds: number, n: number) => ({
      mid: mid(n),
      text: { command: 'x', extra: { server_time_unix: START / 1000 + seconds } },
    })
    bench.tell({ type: 'frame', data: JSON.stringify([at(-HOUR, 1), at(60, 2)]) })
    expect(bench.last('deliver').messages.map((one) => one.mid)).toEqual([mid(2)])
  })

  it('of old servers are asked for by tag and time', () => {
    const bench = new Bench().open({ ...CONFIG, version: 2 })
    bench.tell({
      type: 'frame',
      data: '{"tag":"672","time":"Thu, 29 Jun 2017 09:50:16 GMT","text":{"command":"a"}}',
    })
    bench.tell(refuse)
    bench.wait()
    const query = Object.fromEntries(bench.address().searchParams)
    expect(query).toMatchObject({ tag: '672', time: 'Thu, 29 Jun 2017 09:50:16 GMT' })
    expect(query).not.toHaveProperty('mid')
  })

  it('are acknowledged when they are where they belong, to servers that want to know', () => {
    const bench = new Bench().open()
    const params = { mid: mid(1), body: { command: 'a', params: {} } }
    bench.tell({
      type: 'frame',
      data: JSON.stringify({ jsonrpc: '2.0', method: 'incoming.message', params }),
    })
    expect(bench.count('send')).toBe(0)
    bench.tell({ type: 'handled', messages: bench.last('deliver').messages })
    expect(bench.last('send').text).toBe(`mack:${mid(1)}`)
  })

  it('that nobody can read are told of, and the others come', () => {
    const bench = new Bench().open()
    const [fault] = bench.tell({ type: 'frame', data: 'rubbish' })
    expect(fault).toMatchObject({ do: 'report', event: 'push.unreadable', fields: { bytes: 7 } })
  })

  it('of the channels before come too, when those changed while nothing was connected', () => {
    const bench = new Bench().open()
    for (let error = 1; error <= 3; error++) {
      bench.tell(refuse)
      bench.wait()
    }
    bench.tell({ type: 'configured', config: { ...CONFIG, channels: ['c', 'd'] } })
    expect(bench.address().searchParams.get('CHANNEL_ID')).toBe(['c', 'd', ...CONFIG.channels].join('/'))
    bench.tell({ type: 'closed', code: 4010, text: '' })
    bench.wait()
    bench.tell({ type: 'configured', config: { ...CONFIG, channels: ['c', 'd'] } })
    expect(bench.address().searchParams.get('CHANNEL_ID')).toBe('c/d')
  })
})

describe('silence', () => {
  it('is broken by a ping, and ends a connection that does not answer', () => {
    const bench = new Bench().open()
    expect(bench.wait()).toBe(60 * SECOND)
    expect(bench.last('ping')).toBeDefined()
    bench.tell({ type: 'alive' })
    expect(bench.wait()).toBe(60 * SECOND)
    expect(bench.core.mode).toBe('open')
    expect(bench.wait()).toBe(20 * SECOND)
    expect(bench.last('close').code).toBe(3005)
    expect(bench.wait()).toBe(100)
    expect(bench.core.mode).toBe('opening')
  })

  it('of more than a day is a gap that the history does not fill', () => {
    const bench = new Bench({ position: { mid: mid(1) }, heardAt: START - 25 * HOUR }).open()
    expect(bench.last('connected').gapMs).toBe(25 * HOUR)
    const short = new Bench({ position: { mid: mid(1) }, heardAt: START - 23 * HOUR }).open()
    expect(short.last('connected').gapMs).toBeUndefined()
  })
})

describe('long polling', () => {
  const polled = (status: number, body = '', lastMessageId?: string) =>
    ({
      type: 'polled',
      status,
      body,
      ...(lastMessageId === undefined ? {} : { lastMessageId }),
    }) as const

  /** Sockets that never open, until they are given up. */
  function blocked(bench: Bench): void {
    for (let tries = 0; bench.core.mode !== 'polling' && tries < 20; tries++) {
      if (bench.core.mode === 'opening') bench.tell(refuse)
      bench.wait()
      if (bench.core.mode === 'asking') bench.tell({ type: 'configured', config: CONFIG })
    }
  }

  it('comes after more than four broken sockets, for good where none ever opened', () => {
    const bench = new Bench()
    bench.tell({ type: 'start' })
    bench.tell({ type: 'configured', config: CONFIG })
    blocked(bench)
    expect(bench.core.mode).toBe('polling')
    expect(bench.count('connect')).toBe(5)
    bench.now += HOUR
    bench.tell(polled(304))
    expect(bench.core.mode).toBe('polling')
  })

  it('is left again after 10 to 30 minutes where a socket had opened', () => {
    for (const chance of [0, 1]) {
      const bench = new Bench({ random: () => chance }).open()
      blocked(bench)
      expect(bench.core.mode).toBe('polling')
      const since = bench.now
      while (bench.core.mode === 'polling') {
        bench.now += 40 * SECOND
        bench.tell(polled(304))
      }
      expect(bench.core.mode).toBe('opening')
      // Reckoned from the fifth break, 45 seconds (54 by chance) before the first poll.
      const minutes = (bench.now - since) / MINUTE
      expect(minutes).toBeGreaterThan(chance === 0 ? 9 : 29)
      expect(minutes).toBeLessThan(chance === 0 ? 10 : 30)
      bench.tell(refuse)
      bench.wait()
      expect(bench.core.mode).toBe('polling')
    }
  })

  it('is the way where the server offers no sockets', () => {
    const bench = new Bench()
    bench.tell({ type: 'start' })
    bench.tell({
      type: 'configured',
      config: { version: 3, longPolling: CONFIG.longPolling!, channels: ['c'] },
    })
    expect(bench.core.mode).toBe('polling')
    expect(bench.tell(polled(200, `#!NGINXNMS!#${said(1)}#!NGINXNME!#`)).map((one) => one.do)).toEqual([
      'connected',
      'deliver',
      'poll',
    ])
    expect(bench.address('poll').searchParams.get('mid')).toBe(mid(1))
    bench.tell(polled(304, '', mid(7)))
    expect(bench.address('poll').searchParams.get('mid')).toBe(mid(7))
    expect(bench.count('connected')).toBe(1)
  })

  it('does not hammer a server that answers nothing, or with errors', () => {
    const bench = new Bench()
    bench.tell({ type: 'start' })
    const config = { version: 3, longPolling: CONFIG.longPolling!, channels: ['c'] }
    bench.tell({ type: 'configured', config })
    const waits = [polled(200), polled(502, '<html>'), polled(0), polled(400, '4010: Wrong Channel Id.')].map(
      (answer) => {
        bench.tell(answer)
        const waited = bench.wait()
        if (bench.core.mode === 'asking') bench.tell({ type: 'configured', config })
        return waited
      },
    )
    expect(waits).toEqual([100, 15_000, 45_000, 45_000])
    expect(bench.core.mode).toBe('polling')
  })

  it('ends a poll that hangs for a minute', () => {
    const bench = new Bench()
    bench.tell({ type: 'start' })
    bench.tell({
      type: 'configured',
      config: { version: 3, longPolling: CONFIG.longPolling!, channels: ['c'] },
    })
    expect(bench.wait()).toBe(MINUTE)
    expect(bench.last('close')).toBeDefined()
  })
})

describe('a consumer that is behind', () => {
  it('is spared further messages, which come from the history later', () => {
    const bench = new Bench().open()
    bench.tell({ type: 'frame', data: said(1) })
    bench.tell({ type: 'hold' })
    expect(bench.core.mode).toBe('held')
    expect(bench.core.wakeAt).toBeUndefined()
    bench.tell({ type: 'release' })
    expect(bench.core.mode).toBe('opening')
    expect(bench.address().searchParams.get('mid')).toBe(mid(1))
  })

  it('is spared them before the connection is there, too', () => {
    const bench = new Bench()
    bench.tell({ type: 'start' })
    bench.tell({ type: 'hold' })
    bench.tell({ type: 'configured', config: CONFIG })
    expect(bench.core.mode).toBe('held')
    bench.tell({ type: 'release' })
    expect(bench.core.mode).toBe('opening')
  })
})

describe('whatever happens', () => {
  it('nothing stale counts, something is always waited for, and connections are never begun in a hurry', () => {
    const kinds = [
      'configured',
      'refused',
      'opened',
      'alive',
      'frame',
      'closed',
      'polled',
      'tick',
      'hold',
      'release',
    ] as const
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...kinds), fc.boolean()), { maxLength: 80 }), (steps) => {
        const bench = new Bench()
        const begun: number[] = []
        bench.tell({ type: 'start' })
        for (const [type, stale] of steps) {
          const before = bench.core.mode
          const fits: Partial<Record<string, string[]>> = {
            configured: ['asking'],
            refused: ['asking'],
            opened: ['opening'],
            alive: ['open'],
            frame: ['open'],
            closed: ['opening', 'open'],
            polled: ['polling'],
          }
          if (type === 'tick' && bench.core.wakeAt !== undefined) bench.wait()
          else if (type === 'hold' || type === 'release' || type === 'tick') bench.tell({ type })
          else {
            const input = {
              type,
              config: CONFIG,
              code: type === 'refused' ? 'X' : 1006,
              lasting: false,
              data: said(1),
              text: '',
              status: 304,
              body: '',
            }
            const turn = stale ? bench.turn - 1 : bench.turn
            if (!stale && !(fits[type] ?? []).includes(before)) continue
            const actions = bench.core.handle({ ...input, turn } as unknown as PushInput, bench.now)
            if (stale) expect(actions).toEqual([])
            for (const action of actions) if ('turn' in action) bench.turn = action.turn
            bench.done.push(...actions)
          }
          if (bench.done.at(-1)?.do === 'connect' && before === 'waiting') begun.push(bench.now)
          const { mode, wakeAt } = bench.core
          expect(wakeAt !== undefined || ['asking', 'held'].includes(mode), mode).toBe(true)
        }
        for (let i = 1; i < begun.length; i++) expect(begun[i]! - begun[i - 1]!).toBeGreaterThanOrEqual(100)
      }),
    )
  })

  it('nothing is done after the end', () => {
    const bench = new Bench().open()
    expect(bench.tell({ type: 'stop' })).toEqual([{ do: 'close', code: 1000 }])
    for (const type of ['start', 'tick', 'hold', 'release', 'retry', 'stop'] as const)
      expect(bench.tell({ type })).toEqual([])
    expect(bench.core.wakeAt).toBeUndefined()
  })
})
