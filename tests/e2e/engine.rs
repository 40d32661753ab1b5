//! The embedded engine, by itself.

use std::net::{SocketAddr, TcpStream, UdpSocket};

use anyhow::{Context, Result};
use local_stack::engine::{Engine, Source};
use tempfile::TempDir;

#[tokio::test]
async fn its_data_survives_a_kill_and_a_clean_end() -> Result<()> {
    let folder = TempDir::with_prefix("spillway-test-")?;
    for (round, kill) in [(0u64, true), (1, false), (2, true)] {
        let mut engine = Engine::start(&Source::Embedded, folder.path(), "traces").await?;
        let client = engine.client();
        client
            .query("CREATE TABLE IF NOT EXISTS kept (n UInt64) ENGINE = MergeTree ORDER BY n")
            .execute()
            .await?;
        assert_eq!(client.query("SELECT count() FROM kept").fetch_one::<u64>().await?, round);
        client.query("INSERT INTO kept VALUES (1)").execute().await?;
        let process = engine.process().context("the engine is ours")?;
        if kill {
            process.kill().await?;
        } else {
            let status = process.stop().await?;
            assert!(status.success(), "{}", process.obituary(status));
        }
    }
    Ok(())
}

#[tokio::test]
async fn its_database_is_atomic_and_the_one_that_clients_begin_in() -> Result<()> {
    let folder = TempDir::with_prefix("spillway-test-")?;
    let engine = Engine::start(&Source::Embedded, folder.path(), "traces").await?;
    let server = engine.server();
    let kind = "SELECT engine FROM system.databases WHERE name = currentDatabase() AND name = 'traces'";
    assert_eq!(server.query(kind).fetch_one::<String>().await?, "Atomic");
    Ok(())
}

#[tokio::test]
async fn it_listens_on_loopback_only() -> Result<()> {
    let folder = TempDir::with_prefix("spillway-test-")?;
    let engine = Engine::start(&Source::Embedded, folder.path(), "traces").await?;
    let port = engine.url.rsplit(':').next().unwrap_or_default().parse()?;
    // Where this machine would send from; nothing is sent.
    let probe = UdpSocket::bind("0.0.0.0:0")?;
    if probe.connect("192.0.2.1:9").is_ok() && !probe.local_addr()?.ip().is_loopback() {
        let outside = SocketAddr::new(probe.local_addr()?.ip(), port);
        assert!(TcpStream::connect(outside).is_err(), "{outside} answers");
    }
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    Ok(())
}
