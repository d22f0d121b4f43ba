import { describe, expect, it } from 'vitest'
import { blameFor } from '../../src/brokers/amqp/blame.ts'

const publication = (exchange: string, size: number) => ({
  exchange,
  routingKey: 'k',
  body: Buffer.alloc(size),
})
const closed = (code: number, message: string) => Object.assign(new Error(message), { code })
const tooBig = closed(406, 'PRECONDITION_FAILED - message size 2000 is larger than configured max size 1000')
const noExchange = closed(404, "NOT_FOUND - no exchange 'gone' in vhost '/'")

describe('the blame for a closed channel', () => {
  it('is with the message whose size the broker names, and with no other', () => {
    expect(blameFor(tooBig, publication('', 2000), false)).toMatchObject({ code: 'MESSAGE_TOO_LARGE' })
    expect(blameFor(tooBig, publication('', 1999), false)).toBeUndefined()
  })

  it('is with what went to the exchange that is not there', () => {
    expect(blameFor(noExchange, publication('gone', 5), false)).toMatchObject({ code: 'EXCHANGE_MISSING' })
    expect(blameFor(noExchange, publication('here', 5), false)).toBeUndefined()
  })

  it('is with the only one, whatever the broker says', () => {
    expect(blameFor(closed(406, 'something else'), publication('', 5), true)).toMatchObject({
      code: 'NACKED',
    })
  })
})
