//! What the spans of the programs are, as their authors have meant them: the verifier compares only with what was sent.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use spillway_tests::rows::check_columns;

use super::{PROJECT, TENANT};
use crate::clients::Client;

/// The five spans that the programs of all languages make alike.
pub(super) fn check_five_spans(client: Client, rows: &[Value]) -> Result<()> {
    let row = |name: &str| {
        let row = rows.iter().find(|row| row["SpanName"] == name);
        row.with_context(|| format!("no {name} in {rows:?}"))
    };
    let root = row("span 1")?;
    let expected = json!({
        "ParentSpanId": "", "SpanKind": "Server", "ScopeName": "interop", "ScopeVersion": "1.2.3",
        "SpanAttributes": { "text": client.sent_text(), "int": "-5", "double": "0.25", "bool": "true", "list": "[\"a\",\"b\"]" },
        "StatusCode": "Unset", "StatusMessage": "",
        "Events.Name": ["happened"], "Events.Attributes": [{ "e": "1" }],
        "Links.TraceId": ["0102030405060708090a0b0c0d0e0f10"], "Links.SpanId": ["0102030405060708"],
        "Links.Attributes": [{ "l": "2" }], "TenantId": TENANT, "ProjectId": PROJECT,
    });
    check_columns(root, &expected)?;
    check_duration(root, 2_000_000, client.duration_error())?;
    for (name, kind) in
        [("span 2", "Client"), ("span 3", "Internal"), ("span 4", "Producer"), ("span 5", "Consumer")]
    {
        let (code, message) = if name == "span 2" { ("Error", "bad") } else { ("Unset", "") };
        let expected = json!({
            "TraceId": root["TraceId"], "ParentSpanId": root["SpanId"], "SpanKind": kind,
            "StatusCode": code, "StatusMessage": message,
        });
        check_columns(row(name)?, &expected)?;
        check_duration(row(name)?, 1_000_000, client.duration_error())?;
    }
    Ok(())
}

fn check_duration(row: &Value, nanos: u64, error: u64) -> Result<()> {
    let duration: u64 = row["Duration"].as_str().context("Duration is no text")?.parse()?;
    ensure!(
        duration.abs_diff(nanos) <= error,
        "Duration is {duration} instead of {nanos}, by more than {error}"
    );
    Ok(())
}

/// The two spans of `telemetrygen`.
pub(super) fn check_telemetrygen(rows: &[Value]) -> Result<()> {
    let [root, child] =
        ["lets-go", "okey-dokey-0"].map(|name| rows.iter().find(|row| row["SpanName"] == name));
    let (root, child) = (root.context("no lets-go")?, child.context("no okey-dokey-0")?);
    let attributes = |peer: &str| json!({ "network.peer.address": "1.2.3.4", "service.peer.name": peer });
    let root_is = json!({
        "ParentSpanId": "", "SpanKind": "Client", "ScopeName": "telemetrygen", "Duration": "123000",
        "SpanAttributes": attributes("telemetrygen-server"), "TenantId": TENANT,
    });
    check_columns(root, &root_is)?;
    let child_is = json!({
        "TraceId": root["TraceId"], "ParentSpanId": root["SpanId"], "SpanKind": "Server", "Duration": "123000",
        "SpanAttributes": attributes("telemetrygen-client"),
    });
    check_columns(child, &child_is)
}
