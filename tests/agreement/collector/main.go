// Exports OTLP requests to ClickHouse by the OpenTelemetry Collector's own exporter, as a pipeline of the Collector would.
//
// Requests (protobuf) come on standard input, each after its length in bytes (4 bytes, big endian). Each is answered by a line of
// JSON on standard output, in the same order: {"spans":N} once the exporter has stored it, or {"error":"..."}.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/clickhouseexporter"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

// maxRequestBytes bounds the memory that a length on standard input can ask for.
const maxRequestBytes = 64 << 20

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "exporter:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	endpoint := flag.String("endpoint", "", "ClickHouse's address, as the exporter's option of that name")
	database := flag.String("database", "", "the database that the exporter makes its tables in")
	username := flag.String("username", "default", "the user")
	flag.Parse()

	traces, err := tracesExporter(ctx, *endpoint, *database, *username)
	if err != nil {
		return err
	}
	if err := traces.Start(ctx, nil); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return errors.Join(exportAll(ctx, traces), traces.Shutdown(ctx))
}

// tracesExporter makes the exporter with the defaults of its factory, but for queue and retries: without them, the end of a request
// is the exporter's answer. Neither changes what is written.
func tracesExporter(ctx context.Context, endpoint, database, username string) (exporter.Traces, error) {
	factory := clickhouseexporter.NewFactory()
	config := factory.CreateDefaultConfig().(*clickhouseexporter.Config)
	config.Endpoint = endpoint
	config.Database = database
	config.Username = username
	config.Password = configopaque.String(os.Getenv("CLICKHOUSE_PASSWORD"))
	config.QueueSettings = configoptional.None[exporterhelper.QueueBatchConfig]()
	config.BackOffConfig.Enabled = false
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	logger, err := zap.NewProduction()
	if err != nil {
		return nil, err
	}
	settings := exporter.Settings{
		ID: component.NewID(factory.Type()),
		TelemetrySettings: component.TelemetrySettings{
			Logger:         logger,
			TracerProvider: nooptrace.NewTracerProvider(),
			MeterProvider:  noopmetric.NewMeterProvider(),
			Resource:       pcommon.NewResource(),
		},
	}
	return factory.CreateTraces(ctx, settings, config)
}

type answer struct {
	Spans int    `json:"spans"`
	Error string `json:"error,omitempty"`
}

func exportAll(ctx context.Context, traces exporter.Traces) error {
	in, out := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		request, err := readRequest(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		spans, err := export(ctx, traces, request)
		answered := answer{Spans: spans}
		if err != nil {
			answered = answer{Error: err.Error()}
		}
		if err := out.Encode(answered); err != nil {
			return err
		}
	}
}

// readRequest returns io.EOF only where a request could begin.
func readRequest(in io.Reader) ([]byte, error) {
	var length uint32
	if err := binary.Read(in, binary.BigEndian, &length); err != nil {
		return nil, err
	}
	if length > maxRequestBytes {
		return nil, fmt.Errorf("a request of %d bytes; at most %d are read", length, maxRequestBytes)
	}
	request := make([]byte, length)
	if _, err := io.ReadFull(in, request); err != nil {
		return nil, fmt.Errorf("the input ends within a request: %w", io.ErrUnexpectedEOF)
	}
	return request, nil
}

// export decodes the request as the Collector's OTLP receiver does.
func export(ctx context.Context, traces exporter.Traces, request []byte) (int, error) {
	decoded := ptraceotlp.NewExportRequest()
	if err := decoded.UnmarshalProto(request); err != nil {
		return 0, fmt.Errorf("decode: %w", err)
	}
	spans := decoded.Traces().SpanCount()
	if err := traces.ConsumeTraces(ctx, decoded.Traces()); err != nil {
		return 0, fmt.Errorf("export: %w", err)
	}
	return spans, nil
}
