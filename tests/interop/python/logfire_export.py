"""Lets logfire send spans, and prints what became of each batch as one line of JSON.

    logfire_export.py ORDER

ORDER is that of ../clients/mod.rs. Endpoint, key, compression and service name come from the variables of OpenTelemetry.
"""

import json
import logging
import sys
import time

import logfire
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

batches = []
exporters_export = OTLPSpanExporter.export


def export(self, spans):
    """Remembers what becomes of a batch: logfire makes its exporter by itself."""
    start = time.monotonic()
    exported = False
    try:
        result = exporters_export(self, spans)
        exported = result is SpanExportResult.SUCCESS
        return result
    finally:
        batches.append({"exported": exported, "seconds": round(time.monotonic() - start, 3)})


def make_spans(order):
    padding = {"padding": "x" * order["padding"]} if order["padding"] else {}
    with logfire.span("handle {path}", path="/ü", items=[1, "a", None, {"b": 0.25}], **padding):
        for n in range(3):
            logfire.info("step {n}", n=n, nested={"a": {"b": [True, 1.5]}})
        try:
            with logfire.span("fails"):
                raise ValueError("bad")
        except ValueError:
            pass


def main():
    order = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    OTLPSpanExporter.export = export
    logfire.configure(send_to_logfire=False, console=False, inspect_arguments=False)
    for _ in range(order["batches"]):
        make_spans(order)
        logfire.force_flush()
    logfire.shutdown()
    print(json.dumps(batches))


main()
