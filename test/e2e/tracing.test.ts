import { SpanKind } from '@opentelemetry/api'
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node'
import { afterAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../conformance/broker.ts'
import { addDeal, type Bench, BROKERS, openBench } from '../support/bridge.ts'
import { openEventBench } from '../support/events.ts'

const exporter = new InMemorySpanExporter()
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
provider.register()
afterAll(() => provider.shutdown())
beforeEach(() => exporter.reset())

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SENDER = 'b7ad6b7169203331'

function spans(kind: SpanKind): ReadableSpan[] {
  return exporter.getFinishedSpans().filter((span) => span.kind === kind)
}

function parentOf(span: ReadableSpan | undefined): string | undefined {
  return span?.parentSpanContext?.spanId
}

for (const { name, kind, skip } of BROKERS) {
  describe.skipIf(skip)(`traces ${name}`, () => {
    async function open(): Promise<Bench> {
      const bench = await openBench({ broker: kind })
      onTestFinished(() => bench[Symbol.asyncDispose]())
      return bench
    }

    it('go from the sender over the request to the reply', async () => {
      const bench = await open()
      const headers = { traceparent: `00-${TRACE}-${SENDER}-01` }
      const { message } = await bench.ask({ method: 'crm.deal.get', params: { id: 7 } }, { headers })
      await eventually(() => expect(spans(SpanKind.CONSUMER)).toHaveLength(1))
      const [processed] = spans(SpanKind.CONSUMER)
      const [request] = spans(SpanKind.CLIENT)
      const [reply] = spans(SpanKind.PRODUCER)
      expect(processed?.spanContext().traceId).toBe(TRACE)
      expect(parentOf(processed)).toBe(SENDER)
      expect(processed?.links.map((link) => link.context.spanId)).toEqual([SENDER])
      expect(processed?.attributes).toMatchObject({
        'messaging.system': kind === 'amqp' ? 'rabbitmq' : 'bitrix24_bridge',
        'messaging.operation.type': 'process',
        'messaging.destination.name': bench.commandQueue,
        'b24.method': 'crm.deal.get',
        'b24.outcome': 'done',
      })
      const inside = processed?.spanContext().spanId
      expect([parentOf(request), parentOf(reply)]).toEqual([inside, inside])
      expect(request?.attributes).toMatchObject({
        'http.request.method': 'POST',
        'http.response.status_code': 200,
        'b24.methods': ['crm.deal.get'],
        'b24.calls': 1,
      })
      expect(message.headers.traceparent).toBe(`00-${TRACE}-${reply?.spanContext().spanId}-01`)
    })

    it('link a request to every command that it carries, and stand below none of many', async () => {
      const bench = await open()
      const ids: string[] = []
      for (let i = 0; i < 30; i++) ids.push(await bench.send(addDeal(`traced ${i}`)))
      for (const id of ids) await bench.reply(id)
      await eventually(() => expect(spans(SpanKind.CONSUMER)).toHaveLength(30))
      const processed = new Set(spans(SpanKind.CONSUMER).map((span) => span.spanContext().spanId))
      const requests = spans(SpanKind.CLIENT)
      const linked = requests.flatMap(({ links }) => links.map((link) => link.context.spanId))
      expect(new Set(linked)).toEqual(processed)
      expect(linked).toHaveLength(30)
      for (const request of requests)
        expect(parentOf(request) === undefined).toBe(request.attributes['b24.calls'] !== 1)
      expect(requests.some(({ links }) => links.length > 1)).toBe(true)
    })

    it('tell what went wrong, and no secret', async () => {
      const bench = await open()
      const { body } = await bench.ask({ method: 'no.such.method', params: { secret: 's3cr3t' } })
      expect(body.outcome).toBe('failed')
      await bench.ask('not json')
      await eventually(() => expect(spans(SpanKind.CONSUMER)).toHaveLength(2))
      const outcomes = spans(SpanKind.CONSUMER).map(({ attributes }) => attributes['error.type'])
      expect(outcomes).toEqual(['ERROR_METHOD_NOT_FOUND', 'BODY_NOT_JSON'])
      const all = JSON.stringify(
        exporter
          .getFinishedSpans()
          .map(({ name: title, attributes, events }) => ({ title, attributes, events })),
      )
      expect(all).toContain('no.such.method')
      for (const secret of ['s3cr3t', 'guest:guest']) expect(all).not.toContain(secret)
    })
  })
}

it('an event carries the trace of the request that brought it', async () => {
  const bench = await openEventBench()
  expect((await bench.post(bench.deal(7))).status).toBe(200)
  const [event] = await bench.events('ONCRMDEALUPDATE')
  const [, trace, sender] = String(event?.message.headers.traceparent).split('-')
  // The installation came as an event too.
  const ofThis = () => spans(SpanKind.INTERNAL).filter((span) => span.spanContext().traceId === trace)
  await eventually(() => expect(ofThis()).toHaveLength(1))
  const [taken] = ofThis()
  const sent = spans(SpanKind.PRODUCER).find((span) => span.spanContext().spanId === sender)
  expect(parentOf(sent)).toBe(taken?.spanContext().spanId)
  expect(sent?.attributes).toMatchObject({ 'messaging.destination.name': bench.exchange })
})
