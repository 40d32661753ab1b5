// Exports spans with @opentelemetry/exporter-trace-otlp-http (JSON) or -proto, and prints what became of each batch as
// one line of JSON.
//
//   node export.mjs http|proto ORDER
//
// ORDER is that of ../clients.rs. Endpoint, key and compression come from the variables of OpenTelemetry.
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";

const require = createRequire(join(process.env.SPILLWAY_INTEROP_NODE_MODULES, "_"));
const { DiagLogLevel, ROOT_CONTEXT, SpanKind, SpanStatusCode, diag, trace } = require("@opentelemetry/api");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BatchSpanProcessor, TracerProvider } = require("@opentelemetry/sdk-trace");

const [protocol, order] = [process.argv[2], JSON.parse(process.argv[3])];
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${protocol}`);

const KINDS = [SpanKind.SERVER, SpanKind.CLIENT, SpanKind.INTERNAL, SpanKind.PRODUCER, SpanKind.CONSUMER];
const MILLISECONDS_OF_A_DAY = 86_400_000;

// Hands batches on to the real exporter, and remembers what became of them.
class Recorder {
  batches = [];
  #exporter = new OTLPTraceExporter();

  export(spans, done) {
    const start = performance.now();
    this.#exporter.export(spans, (result) => {
      const seconds = Math.round(performance.now() - start) / 1000;
      this.batches.push({ exported: result.code === 0, seconds });
      done(result);
    });
  }

  forceFlush() {
    return this.#exporter.forceFlush?.() ?? Promise.resolve();
  }

  shutdown() {
    return this.#exporter.shutdown();
  }
}

function makeSpans(tracer) {
  const attributes = { text: "ü", int: -5, double: 0.25, bool: true, list: ["a", "b"] };
  if (order.padding) attributes.padding = "x".repeat(order.padding);
  const linked = { traceId: "0102030405060708090a0b0c0d0e0f10", spanId: "0102030405060708", traceFlags: 0 };
  const start = Date.now();
  const firstStart = start + order.ahead_days * MILLISECONDS_OF_A_DAY;
  const links = [{ context: linked, attributes: { l: 2 } }];
  const root = tracer.startSpan("span 1", { kind: KINDS[0], attributes, links, startTime: firstStart }, ROOT_CONTEXT);
  root.addEvent("happened", { e: 1 }, firstStart);
  const below = trace.setSpan(ROOT_CONTEXT, root);
  KINDS.slice(1).forEach((kind, index) => {
    const span = tracer.startSpan(`span ${index + 2}`, { kind, startTime: start }, below);
    if (index === 0) span.setStatus({ code: SpanStatusCode.ERROR, message: "bad" });
    span.end(start + 1);
  });
  root.end(firstStart + 2);
}

const print = (...words) => console.error(...words);
diag.setLogger({ error: print, warn: print, info: print, debug() {}, verbose() {} }, DiagLogLevel.INFO);
const recorder = new Recorder();
const provider = new TracerProvider({
  resource: resourceFromAttributes({ "service.name": process.env.OTEL_SERVICE_NAME }),
  spanProcessors: [new BatchSpanProcessor({ exporter: recorder })],
});
for (let batch = 0; batch < order.batches; batch += 1) {
  makeSpans(provider.getTracer("interop", "1.2.3"));
  // A failed export rejects; what counts is what the recorder saw.
  await provider.forceFlush().catch(print);
}
await provider.shutdown();
console.log(JSON.stringify(recorder.batches));
