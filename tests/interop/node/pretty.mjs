// Sends 2,001 spans as JSON that is printed for people to read, as scripts and test tools do: the transformer of OpenTelemetry's
// JSON exporter, indented, in one POST. Prints what became of each batch as one line of JSON.
//
//   node pretty.mjs ORDER
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";

const require = createRequire(join(process.env.SPILLWAY_INTEROP_NODE_MODULES, "_"));
const { JsonTraceSerializer } = require("@opentelemetry/otlp-transformer");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } = require("@opentelemetry/sdk-trace");

const SPANS = 2_001;

const order = JSON.parse(process.argv[2]);
const [name, key] = process.env.OTEL_EXPORTER_OTLP_HEADERS.split("=");
const batches = [];
for (let batch = 0; batch < order.batches; batch += 1) {
  const memory = new InMemorySpanExporter();
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ "service.name": process.env.OTEL_SERVICE_NAME }),
    spanProcessors: [new SimpleSpanProcessor({ exporter: memory })],
  });
  const tracer = provider.getTracer("pretty", "1");
  for (let n = 1; n <= SPANS; n += 1) tracer.startSpan(`span ${n}`, { attributes: { n, half: n / 2 } }).end();
  const json = JSON.parse(new TextDecoder().decode(JsonTraceSerializer.serializeRequest(memory.getFinishedSpans())));
  const start = performance.now();
  const exported = await fetch(`${process.env.OTEL_EXPORTER_OTLP_ENDPOINT}/v1/traces`, {
    method: "POST",
    headers: { "content-type": "application/json; charset=utf-8", [name]: key },
    body: JSON.stringify(json, null, 2),
  }).then(
    async (answer) => {
      console.error(answer.status, await answer.text());
      return answer.ok;
    },
    (error) => {
      console.error(error);
      return false;
    },
  );
  batches.push({ exported, seconds: (performance.now() - start) / 1000 });
}
console.log(JSON.stringify(batches));
