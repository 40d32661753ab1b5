// Exports spans with @vercel/otel, and prints what became of each batch as one line of JSON.
//
//   node export.mjs ORDER
//
// ORDER is that of ../clients/mod.rs. Endpoint and key come from the variables of OpenTelemetry.
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";

import { Recorder, makeSpans } from "../node/spans.mjs";

const require = createRequire(join(process.env.SPILLWAY_INTEROP_VERCEL, "_"));
const api = require("@opentelemetry/api");
const { OTLPHttpProtoTraceExporter, registerOTel } = require("@vercel/otel");

const order = JSON.parse(process.argv[2]);
const print = (...words) => console.error(...words);
api.diag.setLogger({ error: print, warn: print, info: print, debug() {}, verbose() {} }, api.DiagLogLevel.INFO);
// The exporter that registerOTel would make by itself of the variables.
const [name, key] = process.env.OTEL_EXPORTER_OTLP_HEADERS.split("=");
const url = `${process.env.OTEL_EXPORTER_OTLP_ENDPOINT}/v1/traces`;
const recorder = new Recorder(new OTLPHttpProtoTraceExporter({ url, headers: { [name]: key } }));
registerOTel({ serviceName: process.env.OTEL_SERVICE_NAME, traceExporter: recorder, instrumentations: [] });
const provider = api.trace.getTracerProvider().getDelegate();
for (let batch = 0; batch < order.batches; batch += 1) {
  makeSpans(api, api.trace.getTracer("interop", "1.2.3"), order);
  await provider.forceFlush().catch(print);
}
await provider.shutdown?.();
console.log(JSON.stringify(recorder.batches));
