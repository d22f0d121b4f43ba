import {
  type Attributes,
  type Context,
  context,
  type Link,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'

/** What part a span plays between programs. */
export type SpanRole = 'consumer' | 'producer' | 'client' | 'internal'

/** Facts of a span; never a secret, never parameters of a call. */
export type SpanFacts = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>

/** A point of a trace that others can refer to. */
export type TracePoint = Context

/** What a span is begun with. */
export interface SpanOptions {
  readonly name: string
  readonly role: SpanRole
  readonly facts: SpanFacts
  /** Above it; what is active here unless given, `none` for a trace of its own. */
  readonly parent?: TracePoint | 'none'
  /** Beside it. */
  readonly links?: readonly TracePoint[]
}

/** A span that is open. */
export interface OpenSpan {
  /** For whatever belongs under it. */
  readonly point: TracePoint
  add(facts: SpanFacts): void
  /** Ends it; the code of an error marks it as failed. Later ends do nothing. */
  end(error?: string): void
}

const KINDS: Readonly<Record<SpanRole, SpanKind>> = {
  consumer: SpanKind.CONSUMER,
  producer: SpanKind.PRODUCER,
  client: SpanKind.CLIENT,
  internal: SpanKind.INTERNAL,
}

/**
 * Where the operator's own [OpenTelemetry](https://opentelemetry.io) SDK is registered, spans go there; without one
 * there is no tracer, and callers leave everything as it is.
 */
export function isTracing(): boolean {
  return tracer() !== undefined
}

/** Begins a span, or gives nothing without an SDK. */
export function beginSpan({ name, role, facts, parent, links = [] }: SpanOptions): OpenSpan | undefined {
  const above = parent === 'none' ? ROOT_CONTEXT : (parent ?? context.active())
  const span = tracer()?.startSpan(
    name,
    { kind: KINDS[role], attributes: known(facts), links: links.flatMap(linkTo) },
    above,
  )
  if (span === undefined) return undefined
  return {
    point: trace.setSpan(above, span),
    add: (more) => span.setAttributes(known(more)),
    end(error) {
      if (error !== undefined) fail(span, error)
      span.end()
    },
  }
}

/** Runs work under a point: spans that it begins stand below it, over all its awaits. */
export function under<T>(point: TracePoint, work: () => T): T {
  return context.with(point, work)
}

/** Adds facts to the span that is active here, if there is one. */
export function addFacts(facts: SpanFacts): void {
  trace.getActiveSpan()?.setAttributes(known(facts))
}

/** Where we are, for a span that begins elsewhere; nothing when no span is active. */
export function activePoint(): TracePoint | undefined {
  return trace.getActiveSpan() === undefined ? undefined : context.active()
}

/** The point that headers of a message name; nothing without one. */
export function pointOf(headers: Readonly<Record<string, unknown>>): TracePoint | undefined {
  const point = propagation.extract(ROOT_CONTEXT, headers, {
    keys: (carrier) => Object.keys(carrier),
    get: (carrier, name) => (typeof carrier[name] === 'string' ? carrier[name] : undefined),
  })
  return trace.getSpanContext(point) === undefined ? undefined : point
}

/** Headers that name a point (`traceparent`, `tracestate`), as the SDK writes them. */
export function headersOf(point: TracePoint): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {}
  propagation.inject(point, headers)
  return headers
}

/** The SDK may be registered under another copy of the package, so its kind is not asked for. */
function tracer(): Tracer | undefined {
  const provider = trace.getTracerProvider() as {
    getDelegateTracer?: (name: string) => Tracer | undefined
  }
  return provider.getDelegateTracer === undefined ? trace.getTracer(NAME) : provider.getDelegateTracer(NAME)
}

const NAME = 'bitrix24-bridge'

function fail(span: Span, error: string): void {
  span.setAttribute('error.type', error)
  span.setStatus({ code: SpanStatusCode.ERROR })
}

function linkTo(point: TracePoint): Link[] {
  const to = trace.getSpanContext(point)
  return to === undefined ? [] : [{ context: to }]
}

function known(facts: SpanFacts): Attributes {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined)) as Attributes
}
