#!/usr/bin/env bash
# Collector pdata v1.71.0 (Go) and protobuf's merging: a value whose kvlist comes in two pieces loses the first piece.
# The encoding lets a writer send an embedded message in pieces, and a parser has to merge them, members of a oneof included.
# protobuf-go v1.36.12 does so throughout. pdata's own unmarshaller merges Resource and Status, but in the oneof of AnyValue it
# replaces kvlist_value and array_value by the last piece, without an error.
# Seen on 2026-11-30 for messages that hold a in their first piece and b in their second:
#   resource: protobuf-go [a b], pdata [a b]
#   array_value: protobuf-go [a b], pdata [b]
#   kvlist_value: protobuf-go [a b], pdata [b]
set -euo pipefail

folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"

cat >main.go <<'GO'
package main

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// field returns a length-delimited field.
func field(number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), content)
}

func join(pieces ...[]byte) (all []byte) {
	for _, piece := range pieces {
		all = append(all, piece...)
	}
	return all
}

// text returns an AnyValue with a string_value, pair a KeyValue with that text as key and value.
func text(s string) []byte { return field(1, []byte(s)) }
func pair(s string) []byte { return join(field(1, []byte(s)), field(2, text(s))) }

// inPieces writes the field twice: the first message holds a, the second b.
func inPieces(number protowire.Number, content func(string) []byte) []byte {
	return join(field(number, field(1, content("a"))), field(number, field(1, content("b"))))
}

// attribute returns ResourceSpans with one attribute of the resource that has this AnyValue.
func attribute(value []byte) []byte {
	return field(1, field(1, join(field(1, []byte("k")), field(2, value))))
}

func main() {
	for _, c := range []struct {
		name          string
		resourceSpans []byte
	}{
		{"resource", inPieces(1, pair)},
		{"array_value", attribute(inPieces(5, text))},
		{"kvlist_value", attribute(inPieces(6, pair))},
	} {
		body := field(1, c.resourceSpans)
		fmt.Printf("%s: protobuf-go %v, pdata %v\n", c.name, official(body, c.name), pdata(body, c.name))
	}
}

func official(body []byte, kind string) (names []string) {
	var request collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		return []string{err.Error()}
	}
	attributes := request.ResourceSpans[0].Resource.Attributes
	switch kind {
	case "array_value":
		for _, value := range attributes[0].Value.GetArrayValue().Values {
			names = append(names, value.GetStringValue())
		}
		return names
	case "kvlist_value":
		attributes = attributes[0].Value.GetKvlistValue().Values
	}
	for _, pair := range attributes {
		names = append(names, pair.Key)
	}
	return names
}

func pdata(body []byte, kind string) (names []string) {
	request := ptraceotlp.NewExportRequest()
	if err := request.UnmarshalProto(body); err != nil {
		return []string{err.Error()}
	}
	attributes := request.Traces().ResourceSpans().At(0).Resource().Attributes()
	value, _ := attributes.Get("k")
	switch kind {
	case "array_value":
		for _, v := range value.Slice().All() {
			names = append(names, v.Str())
		}
		return names
	case "kvlist_value":
		attributes = value.Map()
	}
	for key := range attributes.All() {
		names = append(names, key)
	}
	return names
}
GO
go mod init finding 2>setup
go get go.opentelemetry.io/collector/pdata@v1.71.0 go.opentelemetry.io/proto/otlp@v1.11.1 google.golang.org/protobuf@v1.36.12 2>>setup || { cat setup >&2; exit 1; }
go mod tidy 2>>setup || { cat setup >&2; exit 1; }
seen=$(go run .)
printf '%s\n' "$seen"

stated='resource: protobuf-go [a b], pdata [a b]
array_value: protobuf-go [a b], pdata [b]
kvlist_value: protobuf-go [a b], pdata [b]'
[[ $seen == "$stated" ]] || { echo 'changed: the values differ from those in the head'; exit 1; }
echo 'as stated'
