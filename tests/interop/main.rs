//! Real exporters against the running edge: what each of them makes of every kind of answer, and of answers that are lost.
//!
//! What is not ignored is the short form, a part of `make test`; `make interop` runs all of it, and prints a table.

mod cases;
mod clients;
mod table;

use anyhow::{Result, ensure};

use cases::{Bench, Loss};
use clients::Client;

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
async fn what_is_sent_again_after_lost_answers_is_stored_once() -> Result<()> {
    let bench = Bench::start().await?;
    let old = bench.lossy(Client::Python130, Loss::Replaced, true).await?;
    ensure!(old.stored.repacked_tries > 0, "Python 1.30 has sent the same bytes again: {:?}", old.stored);
    for (client, loss, gzip) in [
        (Client::Python130, Loss::Closed, true),
        (Client::Python, Loss::Replaced, true),
        (Client::Python, Loss::Closed, true),
        (Client::NodeJson, Loss::Replaced, false),
    ] {
        let observed = bench.lossy(client, loss, gzip).await?;
        ensure!(observed.stored.requests == 1, "{client:?}, {loss:?}: {:?}", observed.stored);
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
    if let Some(reason) = Client::Telemetrygen.why_left_out() {
        eprintln!("interop: {} is left out: {reason}", Client::Telemetrygen.name());
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

/// `INTEROP_CLIENTS` names some of them, by the names of [`Client`] with commas between.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "make interop"]
async fn every_client_in_every_case() -> Result<()> {
    let named = std::env::var("INTEROP_CLIENTS").unwrap_or_default();
    let is_named = |client: &Client| {
        named.is_empty() || named.split(',').any(|name| name.eq_ignore_ascii_case(&format!("{client:?}")))
    };
    let clients: Vec<_> = Client::ALL.into_iter().filter(is_named).collect();
    ensure!(!clients.is_empty(), "INTEROP_CLIENTS={named} names none of {:?}", Client::ALL);
    table::run(clients).await
}
