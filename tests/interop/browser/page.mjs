// A page that OpenTelemetry's SDK for browsers traces. It sends by `fetch`, or, as the exporter does where it is given no headers,
// by `navigator.sendBeacon`; then the key is in the URL. Newer exporters than that of 2025 always fetch.
import * as api from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, WebTracerProvider } from "@opentelemetry/sdk-trace-web";
import { OTLPTraceExporter as ExporterOf2025 } from "exporter-of-2025";

import { Recorder, makeSpans } from "../node/spans.mjs";

const settings = await (await fetch("/settings")).json();
const tell = (path, body) => fetch(path, { method: "POST", body: JSON.stringify(body) });
const print = (...words) => tell("/log", words.map(String).join(" "));
api.diag.setLogger({ error: print, warn: print, info: print, debug() {}, verbose() {} }, api.DiagLogLevel.INFO);

const url = `${settings.endpoint}/v1/traces`;
const [name, key] = settings.headers.split("=");
const timeoutMillis = settings.timeout;
const exporter =
  settings.way === "beacon"
    ? new ExporterOf2025({ url: `${url}?key=${encodeURIComponent(key)}`, timeoutMillis })
    : new OTLPTraceExporter({ url, headers: { [name]: key }, timeoutMillis });
const recorder = new Recorder(exporter);
const provider = new WebTracerProvider({
  resource: resourceFromAttributes({ "service.name": settings.service }),
  spanProcessors: [new BatchSpanProcessor(recorder)],
});
for (let batch = 0; batch < settings.order.batches; batch += 1) {
  makeSpans(api, provider.getTracer("interop", "1.2.3"), settings.order);
  await provider.forceFlush().catch(print);
}
await provider.shutdown().catch(print);
await tell("/done", recorder.batches);
