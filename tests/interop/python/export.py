"""Exports spans with opentelemetry-exporter-otlp-proto-http, and prints what became of each batch as one line of JSON.

Where OTEL_EXPORTER_OTLP_PROTOCOL is grpc, with opentelemetry-exporter-otlp-proto-grpc.

    export.py ORDER

ORDER is that of ../clients/mod.rs. Endpoint, key, compression and service name come from the variables of OpenTelemetry.
"""

import json
import logging
import os
import sys
import time

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, set_span_in_context

if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

KINDS = [SpanKind.SERVER, SpanKind.CLIENT, SpanKind.INTERNAL, SpanKind.PRODUCER, SpanKind.CONSUMER]
NANOSECONDS_OF_A_DAY = 86_400_000_000_000


class Recorder(SpanExporter):
    """Hands batches on to the real exporter, and remembers what became of them."""

    def __init__(self, exporter):
        self.exporter = exporter
        self.batches = []

    def export(self, spans):
        start = time.monotonic()
        exported = False
        try:
            result = self.exporter.export(spans)
            exported = result is SpanExportResult.SUCCESS
            return result
        finally:
            self.batches.append({"exported": exported, "seconds": round(time.monotonic() - start, 3)})

    def shutdown(self):
        self.exporter.shutdown()


def make_spans(tracer, order):
    attributes = {"text": "ü", "int": -5, "double": 0.25, "bool": True, "list": ["a", "b"]}
    if order["padding"]:
        attributes["padding"] = "x" * order["padding"]
    linked = SpanContext(0x0102030405060708090A0B0C0D0E0F10, 0x0102030405060708, is_remote=True)
    start = time.time_ns()
    first_start = start + order["ahead_days"] * NANOSECONDS_OF_A_DAY
    root = tracer.start_span(
        "span 1", kind=KINDS[0], attributes=attributes, links=[Link(linked, {"l": 2})], start_time=first_start
    )
    root.add_event("happened", {"e": 1})
    for n, kind in enumerate(KINDS[1:], start=2):
        span = tracer.start_span(f"span {n}", set_span_in_context(root), kind=kind, start_time=start)
        if n == 2:
            span.set_status(Status(StatusCode.ERROR, "bad"))
        span.end(start + 1_000_000)
    root.end(first_start + 2_000_000)


def main():
    order = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    recorder = Recorder(OTLPSpanExporter())
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(recorder))
    for _ in range(order["batches"]):
        make_spans(provider.get_tracer("interop", "1.2.3"), order)
        provider.force_flush()
    provider.shutdown()
    print(json.dumps(recorder.batches))


main()
