#!/usr/bin/env bash
# Collector pdata v1.71.0 (Go): of several JSON requests in one body the first is read, and the others are dropped without an error.
# The Collector's file exporter writes one request a line. A server that reads such a file by pdata accepts it, and all
# lines but the first are lost, since the reader stops where the first JSON value ends. encoding/json refuses the same bytes.
# Three protobuf messages in one body are merged into one, as the encoding wants it, so the same batches arrive whole there.
# Seen on 2026-11-30 for three requests of one span each:
#   JSON: 1 of 3 spans, error <nil>
#   protobuf: 3 of 3 spans, error <nil>
#   encoding/json: invalid character '{' after top-level value
set -euo pipefail

folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"

cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

func main() {
	var lines, messages []byte
	for _, name := range []string{"first", "second", "third"} {
		traces := ptrace.NewTraces()
		traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName(name)
		request := ptraceotlp.NewExportRequestFromTraces(traces)
		text, _ := request.MarshalJSON()
		lines = append(append(lines, text...), '\n')
		message, _ := request.MarshalProto()
		messages = append(messages, message...)
	}

	request := ptraceotlp.NewExportRequest()
	err := request.UnmarshalJSON(lines)
	fmt.Printf("JSON: %d of 3 spans, error %v\n", request.Traces().SpanCount(), err)
	request = ptraceotlp.NewExportRequest()
	err = request.UnmarshalProto(messages)
	fmt.Printf("protobuf: %d of 3 spans, error %v\n", request.Traces().SpanCount(), err)
	fmt.Println("encoding/json:", json.Unmarshal(lines, new(any)))
}
GO
go mod init finding 2>setup
go get go.opentelemetry.io/collector/pdata@v1.71.0 2>>setup || { cat setup >&2; exit 1; }
go mod tidy 2>>setup || { cat setup >&2; exit 1; }
seen=$(go run .)
printf '%s\n' "$seen"

stated="JSON: 1 of 3 spans, error <nil>
protobuf: 3 of 3 spans, error <nil>
encoding/json: invalid character '{' after top-level value"
[[ $seen == "$stated" ]] || { echo 'changed: the output differs from that in the head'; exit 1; }
echo 'as stated'
