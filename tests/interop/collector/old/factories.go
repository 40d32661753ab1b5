package main

import (
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/batchprocessor"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
)

const exporterName = "otlphttp"

func factories() (otelcol.Factories, error) {
	receivers, processors, exporters := otlpreceiver.NewFactory(), batchprocessor.NewFactory(), otlphttpexporter.NewFactory()
	return otelcol.Factories{
		Receivers:  map[component.Type]receiver.Factory{receivers.Type(): receivers},
		Processors: map[component.Type]processor.Factory{processors.Type(): processors},
		Exporters:  map[component.Type]exporter.Factory{exporters.Type(): exporters},
	}, nil
}
