//! The OpenTelemetry Collector, by its configuration of the OTLP receiver, the batch processor and the ClickHouse exporter.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::json;

use super::{BATCH_TIMEOUT, INSERT_TIMEOUT, Setup, command_with};

pub fn command(program: &Path, setup: &Setup<'_>) -> Result<Command> {
    let Setup { clickhouse, database, batch, http, folder, .. } = setup;
    // YAML, of which JSON is a part.
    let config = json!({
        "receivers": { "otlp": { "protocols": { "http": { "endpoint": http } } } },
        "processors": {
            "batch": {
                "send_batch_size": batch,
                "send_batch_max_size": batch,
                "timeout": format!("{}s", BATCH_TIMEOUT.as_secs()),
            },
        },
        "exporters": {
            "clickhouse": {
                "endpoint": clickhouse,
                "database": database,
                "username": "default",
                "create_schema": false,
                "async_insert": false,
                "compress": "lz4",
                "timeout": format!("{}s", INSERT_TIMEOUT.as_secs()),
                // Where it is full, senders wait; by default they are refused.
                "sending_queue": { "num_consumers": 10, "queue_size": 1000, "block_on_overflow": true },
            },
        },
        "service": {
            "telemetry": { "metrics": { "level": "none" }, "logs": { "level": "warn" } },
            "pipelines": {
                "traces": { "receivers": ["otlp"], "processors": ["batch"], "exporters": ["clickhouse"] },
            },
        },
    });
    command_with(program, &folder.join("otelcol.yaml"), &config.to_string())
}
