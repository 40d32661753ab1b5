#!/usr/bin/env bash
# Two OTLP exporters report success for a redirect without having delivered a span, each in its own way.
# Python (PyPI opentelemetry-exporter-otlp-proto-http 1.45.2) does not follow redirects and takes every status below 400 for
# success. Go (otlptracehttp v1.47.0) follows 301, 302 and 303 as net/http does, by GET without the body, and takes the answer to
# that GET for the answer to the export. Only Go with 307 or 308 delivers. A server that redirects http to https loses every span.
# Seen on 2026-11-30 (result; requests that arrived where the redirect leads):
#   Python: 301 SUCCESS; none | 302 SUCCESS; none | 303 SUCCESS; none | 307 SUCCESS; none | 308 SUCCESS; none
#   Go: 301 <nil>; GET 0 bytes | 302 <nil>; GET 0 bytes | 303 <nil>; GET 0 bytes | 307 <nil>; POST with spans | 308 <nil>; POST with spans
set -euo pipefail

folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check opentelemetry-exporter-otlp-proto-http==1.45.2 opentelemetry-sdk==1.45.2

python=$(venv/bin/python - <<'PY'
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

arrived = []


class Redirect(BaseHTTPRequestHandler):
    """Redirects /STATUS to /arrived by that status."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/arrived":
            arrived.append(f"{self.command} with spans" if body else f"{self.command} 0 bytes")
            self.send_response(200)
        else:
            self.send_response(int(self.path[1:]))
            self.send_header("Location", "/arrived")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Redirect)
threading.Thread(target=server.serve_forever, daemon=True).start()
memory, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(memory))
provider.get_tracer("finding").start_span("span").end()
results = []
for status in (301, 302, 303, 307, 308):
    arrived.clear()
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{server.server_port}/{status}")
    result = exporter.export(memory.get_finished_spans())
    results.append(f"{status} {result.name}; {', '.join(arrived) or 'none'}")
print("Python:", " | ".join(results))
PY
)
printf '%s\n' "$python"

cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func main() {
	var results []string
	for _, status := range []int{301, 302, 303, 307, 308} {
		arrived := make(chan string, 9)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			switch {
			case r.URL.Path != "/arrived":
				w.Header().Set("Location", "/arrived")
				w.WriteHeader(status)
			case len(body) > 0:
				arrived <- r.Method + " with spans"
			default:
				arrived <- r.Method + " 0 bytes"
			}
		}))
		exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(server.URL+"/v1/traces"))
		if err != nil {
			panic(err)
		}
		spans := []trace.ReadOnlySpan{tracetest.SpanStub{Name: "span"}.Snapshot()}
		result := exporter.ExportSpans(context.Background(), spans)
		server.Close()
		where := "none"
		if len(arrived) > 0 {
			where = <-arrived
		}
		results = append(results, fmt.Sprintf("%d %v; %s", status, result, where))
	}
	fmt.Println("Go:", strings.Join(results, " | "))
}
GO
go mod init finding 2>setup
go get go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp@v1.47.0 go.opentelemetry.io/otel/sdk@v1.47.0 2>>setup || { cat setup >&2; exit 1; }
go mod tidy 2>>setup || { cat setup >&2; exit 1; }
go=$(go run .)
printf '%s\n' "$go"

stated='Python: 301 SUCCESS; none | 302 SUCCESS; none | 303 SUCCESS; none | 307 SUCCESS; none | 308 SUCCESS; none
Go: 301 <nil>; GET 0 bytes | 302 <nil>; GET 0 bytes | 303 <nil>; GET 0 bytes | 307 <nil>; POST with spans | 308 <nil>; POST with spans'
[[ $python$'\n'$go == "$stated" ]] || { echo 'changed: the results differ from those in the head'; exit 1; }
echo 'as stated'
