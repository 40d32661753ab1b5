// A Collector with an OTLP receiver, the batch processor and the OTLP/HTTP exporter, in their default settings, which is given
// spans and watched until they are exported or dropped. Prints what became of each batch as one line of JSON.
//
//	interop-collector ORDER
//
// ORDER is that of ../clients/mod.rs. Endpoint, key, compression and timeout come from the variables of OpenTelemetry, and are
// written into the Collector's configuration, which has no defaults from there. The folders beside this file hold one version of
// the Collector each; set-up compiles this file with either.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/otelcol"
)

// How long a batch is watched: its exporter goes on for 5 minutes by default.
const watched = 45 * time.Second

const spansOfABatch = 5

type order struct {
	Batches   int `json:"batches"`
	Padding   int `json:"padding"`
	AheadDays int `json:"ahead_days"`
}

// batch is what became of one; Exported is null while the exporter goes on.
type batch struct {
	Exported *bool   `json:"exported"`
	Seconds  float64 `json:"seconds"`
}

type object = map[string]any

func main() {
	var order order
	must(json.Unmarshal([]byte(os.Args[1]), &order))
	receiver, metrics := freePort(), freePort()
	collector, err := otelcol.NewCollector(otelcol.CollectorSettings{
		BuildInfo: component.NewDefaultBuildInfo(),
		Factories: factories,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			URIs:              []string{"yaml:" + config(receiver, metrics)},
			ProviderFactories: []confmap.ProviderFactory{yamlprovider.NewFactory()},
		}},
	})
	must(err)
	ended := make(chan error, 1)
	go func() { ended <- collector.Run(context.Background()) }()
	for collector.GetState() != otelcol.StateRunning {
		select {
		case err := <-ended:
			log.Fatal("the Collector ended: ", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	batches := []batch{}
	for n := range order.Batches {
		batches = append(batches, export(order, n, receiver, metrics))
	}
	must(json.NewEncoder(os.Stdout).Encode(batches))
	// Ending it in order would wait for what it still tries, and drop that.
	os.Exit(0)
}

// export hands a batch to the receiver, and watches the exporter's own counts.
func export(order order, n, receiver, metrics int) batch {
	body, err := json.Marshal(request(order))
	must(err)
	start := time.Now()
	answer, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/v1/traces", receiver), "application/json", bytes.NewReader(body))
	must(err)
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK {
		log.Fatal("the receiver answered ", answer.Status, " ", string(text))
	}
	sentBefore, ended := counted(metrics, "sent"), float64((n+1)*spansOfABatch)
	for time.Since(start) < watched {
		sent, failed := counted(metrics, "sent"), counted(metrics, "send_failed")
		if sent+failed >= ended {
			exported := sent > sentBefore || failed == 0
			return batch{&exported, time.Since(start).Seconds()}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return batch{nil, time.Since(start).Seconds()}
}

// counted sums the samples of otelcol_exporter_NAME_spans.
func counted(port int, name string) float64 {
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", port))
	must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(err)
	sum := 0.0
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "otelcol_exporter_"+name+"_spans") {
			number, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:], 64)
			must(err)
			sum += number
		}
	}
	return sum
}

func config(receiver, metrics int) string {
	key, value, _ := strings.Cut(os.Getenv("OTEL_EXPORTER_OTLP_HEADERS"), "=")
	exporter := object{
		"endpoint": os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), "headers": object{key: value}, "compression": "none",
	}
	if compression := os.Getenv("OTEL_EXPORTER_OTLP_COMPRESSION"); compression != "" {
		exporter["compression"] = compression
	}
	if timeout := os.Getenv("OTEL_EXPORTER_OTLP_TIMEOUT"); timeout != "" {
		exporter["timeout"] = timeout + "ms"
	}
	pull := object{"exporter": object{"prometheus": object{"host": "127.0.0.1", "port": metrics}}}
	config := object{
		"receivers":  object{"otlp": object{"protocols": object{"http": object{"endpoint": fmt.Sprintf("127.0.0.1:%d", receiver)}}}},
		"processors": object{"batch": object{}},
		"exporters":  object{exporterName: exporter},
		"service": object{
			"telemetry": object{"metrics": object{"level": "normal", "readers": []any{object{"pull": pull}}}},
			"pipelines": object{"traces": object{
				"receivers": []string{"otlp"}, "processors": []string{"batch"}, "exporters": []string{exporterName},
			}},
		},
	}
	// JSON is YAML.
	text, err := json.Marshal(config)
	must(err)
	return string(text)
}

// request is an export with something in every field that OTLP has for spans: a Collector hands all of it on.
func request(order order) object {
	text := func(text string) object { return object{"stringValue": text} }
	pair := func(key string, value any) object { return object{"key": key, "value": value} }
	list := object{"arrayValue": object{"values": []any{
		text("<&>\u2028"), object{"doubleValue": 1e21}, object{}, object{"bytesValue": "AAEC"},
	}}}
	nested := object{"kvlistValue": object{"values": []any{pair("b", list), pair("a", object{"boolValue": false})}}}
	attributes := []any{
		pair("text", text("ü")), pair("int", object{"intValue": "-9223372036854775808"}), pair("double", object{"doubleValue": 0.1}),
		pair("nan", object{"doubleValue": "NaN"}), pair("list", list), pair("nested", nested), pair("nothing", object{}),
	}
	now := time.Now()
	traceID := fmt.Sprintf("%032x", now.UnixNano())
	nanos := func(time time.Time) string { return strconv.FormatInt(time.UnixNano(), 10) }
	spans := []any{}
	for n := range spansOfABatch {
		start := now
		if n == 0 {
			start = now.AddDate(0, 0, order.AheadDays)
		}
		span := object{
			"traceId": traceID, "spanId": fmt.Sprintf("%016x", n+1), "name": fmt.Sprintf("span %d", n+1), "kind": n + 1,
			"startTimeUnixNano": nanos(start), "endTimeUnixNano": nanos(start.Add(time.Millisecond)), "traceState": "a=b,c=d",
			"flags": 0x101, "attributes": attributes, "droppedAttributesCount": 1, "droppedEventsCount": 2, "droppedLinksCount": 3,
			"events": []any{
				object{"timeUnixNano": nanos(now), "name": "happened", "attributes": attributes, "droppedAttributesCount": 4},
				object{"name": "again"},
			},
			"links": []any{object{
				"traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "0102030405060708", "traceState": "e=f",
				"attributes": []any{pair("l", object{"intValue": "2"})}, "droppedAttributesCount": 5, "flags": 0x301,
			}},
			"status": object{"code": n % 3, "message": "so"},
		}
		if n > 0 {
			span["parentSpanId"] = fmt.Sprintf("%016x", 1)
		} else if order.Padding > 0 {
			// In one span only: the receiver takes 20 MiB.
			padding := pair("padding", text(strings.Repeat("x", order.Padding)))
			span["attributes"] = append(slices.Clone(attributes), padding)
		}
		spans = append(spans, span)
	}
	resource := object{
		"attributes":             append([]any{pair("service.name", text(os.Getenv("OTEL_SERVICE_NAME")))}, pair("nested", nested)),
		"droppedAttributesCount": 6,
		"entityRefs": []any{object{
			"schemaUrl": "https://opentelemetry.io/schemas/1.40.0", "type": "service", "idKeys": []string{"service.name"},
			"descriptionKeys": []string{"nested"},
		}},
	}
	scope := object{
		"name": "interop", "version": "1.2.3", "attributes": []any{pair("s", object{"boolValue": true})}, "droppedAttributesCount": 7,
	}
	return object{"resourceSpans": []any{object{
		"resource": resource, "schemaUrl": "https://opentelemetry.io/schemas/1.41.0",
		"scopeSpans": []any{object{"scope": scope, "spans": spans, "schemaUrl": "https://opentelemetry.io/schemas/1.42.0"}},
	}}}
}

func freePort() int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
