//! rotel, by its command line.

use std::path::Path;
use std::process::Command;

use super::{BATCH_TIMEOUT, INSERT_TIMEOUT, Setup};

pub fn command(program: &Path, setup: &Setup<'_>) -> Command {
    let Setup { clickhouse, database, batch, http, grpc, folder, .. } = setup;
    let mut command = Command::new(program);
    command.arg("start").current_dir(folder);
    let arguments = [
        ("otlp-http-endpoint", http.to_string()),
        ("otlp-grpc-endpoint", grpc.to_string()),
        ("exporter", "clickhouse".to_owned()),
        ("clickhouse-exporter-endpoint", (*clickhouse).to_owned()),
        ("clickhouse-exporter-database", (*database).to_owned()),
        // It says that rows are stored when they are, as Spillway does; its default does not.
        ("clickhouse-exporter-async-insert", "false".to_owned()),
        ("clickhouse-exporter-request-timeout", format!("{}s", INSERT_TIMEOUT.as_secs())),
        ("batch-max-size", batch.to_string()),
        ("batch-timeout", format!("{}s", BATCH_TIMEOUT.as_secs())),
        ("pid-file", folder.join("rotel.pid").display().to_string()),
        ("log-file", folder.join("rotel.log").display().to_string()),
    ];
    for (name, value) in arguments {
        command.arg(format!("--{name}")).arg(value);
    }
    command
}
