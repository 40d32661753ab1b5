// Exports spans with @opentelemetry/exporter-trace-otlp-http (JSON) or -proto, and prints what became of each batch as
// one line of JSON.
//
//   node export.mjs http|proto ORDER
//
// ORDER is that of ../clients/mod.rs. Endpoint, key and compression come from the variables of OpenTelemetry.
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";

import { Recorder, makeSpans } from "./spans.mjs";

const require = createRequire(join(process.env.SPILLWAY_INTEROP_NODE_MODULES, "_"));
const api = require("@opentelemetry/api");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BatchSpanProcessor, TracerProvider } = require("@opentelemetry/sdk-trace");

const [protocol, order] = [process.argv[2], JSON.parse(process.argv[3])];
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${protocol}`);

const print = (...words) => console.error(...words);
api.diag.setLogger({ error: print, warn: print, info: print, debug() {}, verbose() {} }, api.DiagLogLevel.INFO);
const recorder = new Recorder(new OTLPTraceExporter());
const provider = new TracerProvider({
  resource: resourceFromAttributes({ "service.name": process.env.OTEL_SERVICE_NAME }),
  spanProcessors: [new BatchSpanProcessor({ exporter: recorder })],
});
for (let batch = 0; batch < order.batches; batch += 1) {
  makeSpans(api, provider.getTracer("interop", "1.2.3"), order);
  // A failed export rejects; what counts is what the recorder saw.
  await provider.forceFlush().catch(print);
}
await provider.shutdown();
console.log(JSON.stringify(recorder.batches));
