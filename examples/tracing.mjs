// Prints the spans of a bridge: node --import ./examples/tracing.mjs dist/cli/main.js run
// For a collector put the exporter of @opentelemetry/exporter-trace-otlp-http in the place of the console; see docs/tracing.md.
import { BatchSpanProcessor, ConsoleSpanExporter, NodeTracerProvider } from '@opentelemetry/sdk-trace-node'

const provider = new NodeTracerProvider({
  spanProcessors: [new BatchSpanProcessor(new ConsoleSpanExporter(), { scheduledDelayMillis: 500 })],
})
// This also sets how traces are named in headers: W3C Trace Context.
provider.register()
// The bridge drains first; what is left of the spans goes out when nothing else is to be done.
process.once('beforeExit', () => provider.shutdown())
