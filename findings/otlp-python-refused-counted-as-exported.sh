#!/usr/bin/env bash
# opentelemetry-exporter-otlp-proto-http 1.45.2 (PyPI): the exporter's own metrics count refused spans as exported.
# The semantic conventions want error.type on otel.sdk.exporter.span.exported for a failed export. The exporter sets it from the
# exception of the transport, and an HTTP answer such as 400 or 503 is no exception: export() returns FAILURE, the spans are lost,
# and the counter grows as it does after 200. Only a connection that fails has error.type. An alert on it never fires.
# Seen on 2026-11-30 for one span each:
#   200: SUCCESS, exported 1, error.type None
#   400: FAILURE, exported 1, error.type None
#   503: FAILURE, exported 1, error.type None
#   no server: FAILURE, exported 1, error.type ConnectionError
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-exporter-otlp-proto-http==1.45.2 opentelemetry-sdk==1.45.2

seen=$(OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED=true venv/bin/python - 2>errors <<'PY'
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Answer(BaseHTTPRequestHandler):
    """Answers with the status that is the request's path."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(int(self.path[1:]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
memory, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(memory))
provider.get_tracer("finding").start_span("span").end()


def report(name, endpoint):
    reader = InMemoryMetricReader()
    # A timeout of 0.5 s is shorter than the first backoff, so that there are no retries.
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=0.5, meter_provider=MeterProvider([reader]))
    result = exporter.export(memory.get_finished_spans()).name
    metrics = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    [point] = next(m for m in metrics if m.name == "otel.sdk.exporter.span.exported").data.data_points
    print(f"{name}: {result}, exported {point.value}, error.type {point.attributes.get('error.type')}")


for status in (200, 400, 503):
    report(status, f"http://127.0.0.1:{server.server_port}/{status}")
server.shutdown()
server.server_close()
report("no server", f"http://127.0.0.1:{server.server_port}/200")
PY
) || { cat errors >&2; exit 1; }
printf '%s\n' "$seen"

stated='200: SUCCESS, exported 1, error.type None
400: FAILURE, exported 1, error.type None
503: FAILURE, exported 1, error.type None
no server: FAILURE, exported 1, error.type ConnectionError'
[[ $seen == "$stated" ]] || { echo 'changed: the metrics differ from those in the head'; exit 1; }
echo 'as stated'
