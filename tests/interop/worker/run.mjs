// Runs worker.mjs in workerd, calls it, and prints what became of each batch as one line of JSON.
//
//   node run.mjs ORDER
//
// ORDER is that of ../clients/mod.rs. Endpoint and key come from the variables of OpenTelemetry.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const require = createRequire(join(process.env.SPILLWAY_NODE_MODULES, "_"));
const { Miniflare, convertV4MiniflareOptions } = require("miniflare");

const PATIENCE_MS = 60_000;

const order = JSON.parse(process.argv[2]);
const folder = mkdtempSync(join(tmpdir(), "interop-worker-"));
const bundle = join(folder, "worker.js");
execFileSync(
  process.env.ESBUILD_BIN,
  [
    join(import.meta.dirname, "worker.mjs"),
    "--bundle",
    "--format=esm",
    "--conditions=workerd,worker,browser",
    "--external:node:*",
    "--external:cloudflare:*",
    "--log-level=error",
    `--outfile=${bundle}`,
  ],
  { env: { ...process.env, NODE_PATH: process.env.SPILLWAY_INTEROP_WORKER }, stdio: ["ignore", "ignore", "inherit"] },
);
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    host: "127.0.0.1",
    port: 0,
    cf: false,
    workers: [
      {
        name: "instrumented",
        compatibilityDate: "2026-11-01",
        compatibilityFlags: ["nodejs_compat"],
        modules: [{ type: "ESModule", path: bundle }],
        modulesRoot: folder,
        bindings: {
          ENDPOINT: process.env.OTEL_EXPORTER_OTLP_ENDPOINT,
          HEADERS: process.env.OTEL_EXPORTER_OTLP_HEADERS,
          SERVICE: process.env.OTEL_SERVICE_NAME,
          PADDING: String(order.padding),
        },
      },
    ],
  }),
);
const url = await miniflare.ready;
for (let batch = 0; batch < order.batches; batch += 1) await (await fetch(url)).text();
let batches = [];
const end = Date.now() + PATIENCE_MS;
while (batches.length < order.batches && Date.now() < end) {
  await new Promise((done) => setTimeout(done, 50));
  batches = await (await fetch(new URL("/batches", url))).json();
}
await miniflare.dispose();
rmSync(folder, { recursive: true });
console.log(JSON.stringify(batches));
process.exit(0);
