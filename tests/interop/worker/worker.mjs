// A Worker that @microlabs/otel-cf-workers instruments. `GET /batches` tells what became of its exports, and is not traced.
import { trace } from "@opentelemetry/api";
import { OTLPExporter, instrument } from "@microlabs/otel-cf-workers";

import { Recorder } from "../node/spans.mjs";

let recorder;

const handler = {
  async fetch(_request, env) {
    const padding = "x".repeat(Number(env.PADDING));
    trace.getActiveSpan()?.setAttributes({ text: "ü", int: -5, double: 0.25, bool: true, list: ["a", "b"], padding });
    await trace.getTracer("interop", "1.2.3").startActiveSpan("below", async (span) => {
      span.addEvent("happened", { e: 1 });
      span.end();
    });
    return new Response("done");
  },
};

const instrumented = instrument(handler, (env) => {
  const [name, key] = env.HEADERS.split("=");
  recorder ??= new Recorder(new OTLPExporter({ url: `${env.ENDPOINT}/v1/traces`, headers: { [name]: key } }));
  return { exporter: recorder, service: { name: env.SERVICE } };
});

export default {
  async fetch(request, env, context) {
    if (new URL(request.url).pathname === "/batches") return Response.json(recorder?.batches ?? []);
    return instrumented.fetch(request, env, context);
  },
};
