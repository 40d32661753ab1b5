//! The otel-arrow engine, by its configuration of a receiver, the batch processor and the ClickHouse exporter.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::json;

use super::{BATCH_TIMEOUT, Setup, command_with};

pub fn command(program: &Path, setup: &Setup<'_>) -> Result<Command> {
    let Setup { clickhouse, database, batch_bytes, http, folder, .. } = setup;
    // Its batches of OTAP have dictionaries in which a value is there twice, which ClickHouse's reader of Arrow refuses.
    let sizes = json!({ "min_size": batch_bytes, "max_size": batch_bytes, "sizer": "bytes" });
    let nodes = json!({
        "receiver": {
            "type": "receiver:otlp",
            "config": { "protocols": { "http": { "listening_addr": http, "wait_for_result": false } } },
        },
        "batch": {
            "type": "processor:batch",
            "config": {
                "otlp": sizes,
                "format": "otlp",
                "max_batch_duration": format!("{}s", BATCH_TIMEOUT.as_secs()),
            },
        },
        "exporter": {
            "type": "exporter:clickhouse",
            "config": {
                "endpoint": clickhouse,
                "database": database,
                "username": "default",
                "password": "",
                "async_insert": false,
                "table_defaults": { "create_schema": false },
            },
        },
    });
    let connections = json!([
        { "from": "receiver", "to": "batch" },
        { "from": "batch", "to": "exporter" },
    ]);
    // YAML, of which JSON is a part.
    let config = json!({
        "version": "otel_dataflow/v1",
        "engine": {},
        "groups": { "default": { "pipelines": { "main": { "nodes": nodes, "connections": connections } } } },
    });
    let mut command = command_with(program, &folder.join("otel-arrow.yaml"), &config.to_string())?;
    command.args(["--http-admin-bind", "127.0.0.1:0"]);
    Ok(command)
}
