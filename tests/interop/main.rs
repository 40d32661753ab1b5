//! Real exporters against the running edge: what each of them makes of every kind of answer.
//!
//! What is not ignored is the short form, a part of `make test`; `make interop` runs all of it, and prints a table.

mod cases;
mod clients;

use anyhow::Result;

use cases::{Bench, Observed};
use clients::{Client, telemetrygen};

#[tokio::test]
async fn python_and_node_deliver_and_come_back() -> Result<()> {
    let bench = Bench::start().await?;
    for client in [Client::Python, Client::NodeJson, Client::NodeProtobuf] {
        bench.success(client, false).await?;
        bench.over_the_rate(client).await?;
    }
    bench.stop().await
}

#[tokio::test]
async fn python_shows_what_is_wrong_with_grpc() -> Result<()> {
    shows_what_is_wrong_with_grpc(Client::Python).await
}

#[tokio::test]
#[ignore = "make interop"]
async fn telemetrygen_shows_what_is_wrong_with_grpc() -> Result<()> {
    if telemetrygen().is_none() {
        eprintln!("interop: telemetrygen is left out: there is no Go here to compile it with");
        return Ok(());
    }
    shows_what_is_wrong_with_grpc(Client::Telemetrygen).await
}

async fn shows_what_is_wrong_with_grpc(client: Client) -> Result<()> {
    let bench = Bench::start().await?;
    let report = bench.over_grpc(client).await?;
    bench.stop().await?;
    eprintln!("interop: {client:?} logs over gRPC: {}", report.log);
    Ok(())
}

#[tokio::test]
#[ignore = "make interop"]
async fn python_in_every_case() -> Result<()> {
    every_case(Client::Python).await
}

#[tokio::test]
#[ignore = "make interop"]
async fn node_with_json_in_every_case() -> Result<()> {
    every_case(Client::NodeJson).await
}

#[tokio::test]
#[ignore = "make interop"]
async fn node_with_protobuf_in_every_case() -> Result<()> {
    every_case(Client::NodeProtobuf).await
}

#[tokio::test]
#[ignore = "make interop"]
async fn rust_in_every_case() -> Result<()> {
    every_case(Client::Rust).await
}

#[tokio::test]
#[ignore = "make interop"]
async fn telemetrygen_in_every_case() -> Result<()> {
    if telemetrygen().is_none() {
        eprintln!("interop: telemetrygen is left out: there is no Go here to compile it with");
        return Ok(());
    }
    every_case(Client::Telemetrygen).await
}

/// Every case, and what was seen as a row of a table.
async fn every_case(client: Client) -> Result<()> {
    let bench = Bench::start().await?;
    let row = [
        Some(bench.success(client, false).await?),
        Some(bench.success(client, true).await?),
        Some(bench.over_the_rate(client).await?),
        Some(bench.over_the_quota(client).await?),
        Some(bench.too_large(client).await?),
        Some(bench.edge_is_down(client).await?),
        Some(bench.edge_recovers(client).await?),
        bench.partial_success(client).await?,
    ];
    bench.stop().await?;
    let cells: Vec<_> = row.iter().map(|observed| observed.as_ref().map_or("-".to_owned(), cell)).collect();
    for line in row.iter().flatten().flat_map(|observed| observed.report.log.lines()) {
        eprintln!("interop: {client:?} logs: {line}");
    }
    eprintln!("| {client:?} | {} |", cells.join(" | "));
    Ok(())
}

/// The answers, whether the exporter took the last batch to be exported, and how long it was busy with it.
fn cell(observed: &Observed) -> String {
    let statuses: Vec<_> = observed.statuses().iter().map(u16::to_string).collect();
    let last = observed.report.batches.last();
    let outcome = match last {
        Some(batch) if batch.exported => "exported",
        _ => "failed",
    };
    let seconds = last.map_or(0.0, |batch| batch.seconds);
    format!("{}: {outcome}, {seconds:.1} s", statuses.join(" "))
}
