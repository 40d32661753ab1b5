// Exports spans with OpenTelemetry's SDK for Go (otlptracehttp), and prints what became of each batch as one line of JSON.
//
//	interop-go ORDER
//
// ORDER is that of ../clients/mod.rs. Endpoint, key, compression and service name come from the variables of OpenTelemetry.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

type order struct {
	Batches   int `json:"batches"`
	Padding   int `json:"padding"`
	AheadDays int `json:"ahead_days"`
}

type batch struct {
	Exported bool    `json:"exported"`
	Seconds  float64 `json:"seconds"`
}

// recorder hands batches on to the real exporter, and remembers what became of them.
type recorder struct {
	sdktrace.SpanExporter
	batches []batch
}

func (r *recorder) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	start := time.Now()
	err := r.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		log.Print(err)
	}
	r.batches = append(r.batches, batch{err == nil, time.Since(start).Seconds()})
	return err
}

func main() {
	var order order
	must(json.Unmarshal([]byte(os.Args[1]), &order))
	ctx := context.Background()
	exporter, err := otlptracehttp.New(ctx)
	must(err)
	recorder := &recorder{SpanExporter: exporter}
	// Longer than the exporter goes on, so that it is the exporter that gives up.
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(recorder, sdktrace.WithExportTimeout(100*time.Second)))
	tracer := provider.Tracer("interop", trace.WithInstrumentationVersion("1.2.3"))
	for range order.Batches {
		makeSpans(ctx, tracer, order)
		_ = provider.ForceFlush(ctx)
	}
	_ = provider.Shutdown(ctx)
	must(json.NewEncoder(os.Stdout).Encode(recorder.batches))
}

func makeSpans(ctx context.Context, tracer trace.Tracer, order order) {
	attributes := []attribute.KeyValue{
		attribute.String("text", "ü"), attribute.Int("int", -5), attribute.Float64("double", 0.25),
		attribute.Bool("bool", true), attribute.StringSlice("list", []string{"a", "b"}),
	}
	if order.Padding > 0 {
		attributes = append(attributes, attribute.String("padding", strings.Repeat("x", order.Padding)))
	}
	linked := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
		SpanID:  trace.SpanID{1, 2, 3, 4, 5, 6, 7, 8}, Remote: true,
	})
	start := time.Now()
	firstStart := start.AddDate(0, 0, order.AheadDays)
	below, root := tracer.Start(ctx, "span 1", trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(firstStart),
		trace.WithAttributes(attributes...), trace.WithLinks(trace.Link{
			SpanContext: linked, Attributes: []attribute.KeyValue{attribute.Int("l", 2)},
		}))
	root.AddEvent("happened", trace.WithAttributes(attribute.Int("e", 1)))
	kinds := []trace.SpanKind{trace.SpanKindClient, trace.SpanKindInternal, trace.SpanKindProducer, trace.SpanKindConsumer}
	for n, kind := range kinds {
		_, span := tracer.Start(below, fmt.Sprintf("span %d", n+2), trace.WithSpanKind(kind), trace.WithTimestamp(start))
		if n == 0 {
			span.SetStatus(codes.Error, "bad")
		}
		span.End(trace.WithTimestamp(start.Add(time.Millisecond)))
	}
	root.End(trace.WithTimestamp(firstStart.Add(2 * time.Millisecond)))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
