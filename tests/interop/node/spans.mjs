// What the programs of JavaScript share: the five spans, and a recorder of what becomes of batches. Each hands in its own API.

const MILLISECONDS_OF_A_DAY = 86_400_000;

// Hands batches on to the real exporter, and remembers what became of them.
export class Recorder {
  batches = [];
  #exporter;

  constructor(exporter) {
    this.#exporter = exporter;
  }

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

// `api` is @opentelemetry/api, `order` that of ../clients/mod.rs.
export function makeSpans(api, tracer, order) {
  const { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } = api;
  const kinds = [SpanKind.SERVER, SpanKind.CLIENT, SpanKind.INTERNAL, SpanKind.PRODUCER, SpanKind.CONSUMER];
  const attributes = { text: "ü", int: -5, double: 0.25, bool: true, list: ["a", "b"] };
  if (order.padding) attributes.padding = "x".repeat(order.padding);
  const linked = { traceId: "0102030405060708090a0b0c0d0e0f10", spanId: "0102030405060708", traceFlags: 0 };
  const start = Date.now();
  const firstStart = start + order.ahead_days * MILLISECONDS_OF_A_DAY;
  const links = [{ context: linked, attributes: { l: 2 } }];
  const root = tracer.startSpan("span 1", { kind: kinds[0], attributes, links, startTime: firstStart }, ROOT_CONTEXT);
  root.addEvent("happened", { e: 1 }, firstStart);
  const below = trace.setSpan(ROOT_CONTEXT, root);
  kinds.slice(1).forEach((kind, index) => {
    const span = tracer.startSpan(`span ${index + 2}`, { kind, startTime: start }, below);
    if (index === 0) span.setStatus({ code: SpanStatusCode.ERROR, message: "bad" });
    span.end(start + 1);
  });
  root.end(firstStart + 2);
}
