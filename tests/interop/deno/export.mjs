// Lets Deno's own exporter send spans that are made by @opentelemetry/api. It has no hook to tell what becomes of a batch.
//
//   OTEL_DENO=true deno run --allow-all export.mjs ORDER
//
// ORDER is that of ../clients/mod.rs. Endpoint and key come from the variables of OpenTelemetry.
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";

import { makeSpans } from "../node/spans.mjs";

const require = createRequire(join(process.env.SPILLWAY_INTEROP_RUNTIMES, "_"));
const api = require("@opentelemetry/api");

const order = JSON.parse(process.argv[2]);
const batches = [];
for (let batch = 0; batch < order.batches; batch += 1) {
  const start = performance.now();
  makeSpans(api, api.trace.getTracer("interop", "1.2.3"), order);
  // Longer than OTEL_BSP_SCHEDULE_DELAY.
  await new Promise((done) => setTimeout(done, 400));
  batches.push({ exported: null, seconds: (performance.now() - start) / 1000 });
}
console.log(JSON.stringify(batches));
