#!/usr/bin/env bash
# npm @vercel/otel 2.1.3: the OTLP exporters take every answer for success, whatever its status.
# The exporter's callback reports success as soon as fetch resolves, and fetch resolves for 403, 429 and 503 too. So a wrong key
# loses all spans without a word, and an overloaded server is not asked again: there is one request a batch, and no retry.
# OTLP wants 429 and 503 to be retried. Only a connection that fails is an error. Exporters of JSON and protobuf do the same.
# Seen on 2026-11-30 (result for one span; requests at the server):
#   OTLPHttpJsonTraceExporter: 200 SUCCESS 1 | 403 SUCCESS 1 | 429 SUCCESS 1 | 503 SUCCESS 1 | no server FAILED 0
#   OTLPHttpProtoTraceExporter: 200 SUCCESS 1 | 403 SUCCESS 1 | 429 SUCCESS 1 | 503 SUCCESS 1 | no server FAILED 0
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --loglevel=error --no-audit --no-fund @vercel/otel@2.1.3 @opentelemetry/api@1.9.1 @opentelemetry/sdk-trace-base@2.12.1 \
  @opentelemetry/core@2.12.1 >npm.log

cat >export.mjs <<'JS'
import http from "node:http";
import { setTimeout } from "node:timers/promises";
import { ExportResultCode } from "@opentelemetry/core";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { OTLPHttpJsonTraceExporter, OTLPHttpProtoTraceExporter } from "@vercel/otel";

let requests = 0;
const server = http.createServer(async (request, response) => {
  await request.toArray();
  requests += 1;
  response.writeHead(Number(request.url.slice(1))).end();
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const base = `http://127.0.0.1:${server.address().port}`;
const memory = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(memory)] });
provider.getTracer("finding").startSpan("span").end();
await provider.forceFlush();

// Port 9 of the loopback interface (discard) has no server.
const cases = [200, 403, 429, 503].map((status) => [status, `${base}/${status}`]);
cases.push(["no server", "http://127.0.0.1:9/"]);
for (const Exporter of [OTLPHttpJsonTraceExporter, OTLPHttpProtoTraceExporter]) {
  const name = Exporter === OTLPHttpJsonTraceExporter ? "OTLPHttpJsonTraceExporter" : "OTLPHttpProtoTraceExporter";
  const results = [];
  for (const [label, url] of cases) {
    requests = 0;
    const exporter = new Exporter({ url });
    const result = await new Promise((done) => exporter.export(memory.getFinishedSpans(), done));
    // Longer than the first backoff of the usual exporters, so that a retry would be seen.
    await setTimeout(1500);
    results.push(`${label} ${ExportResultCode[result.code]} ${requests}`);
  }
  console.log(`${name}: ${results.join(" | ")}`);
}
process.exit();
JS
seen=$(node export.mjs)
printf '%s\n' "$seen"

stated='OTLPHttpJsonTraceExporter: 200 SUCCESS 1 | 403 SUCCESS 1 | 429 SUCCESS 1 | 503 SUCCESS 1 | no server FAILED 0
OTLPHttpProtoTraceExporter: 200 SUCCESS 1 | 403 SUCCESS 1 | 429 SUCCESS 1 | 503 SUCCESS 1 | no server FAILED 0'
[[ $seen == "$stated" ]] || { echo 'changed: the results differ from those in the head'; exit 1; }
echo 'as stated'
