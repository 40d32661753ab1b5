//! PostgreSQL of the local stack, by itself.

use std::time::Duration;

use anyhow::{Context, Result};
use local_stack::postgres::Postgres;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn its_data_survives_a_kill_and_a_clean_end() -> Result<()> {
    let folder = TempDir::with_prefix("spillway-test-")?;
    let mut postgres = Postgres::start(folder.path()).await?;
    for (round, kill) in [(0i64, true), (1, false), (2, true)] {
        let client = postgres.client().await?;
        client.batch_execute("CREATE TABLE IF NOT EXISTS kept (n bigint)").await?;
        assert_eq!(client.query_one("SELECT count(*) FROM kept", &[]).await?.get::<_, i64>(0), round);
        client.execute("INSERT INTO kept VALUES (1)", &[]).await?;
        if kill {
            postgres.process().kill().await?;
        } else {
            // The client, which is still connected, does not hold it up.
            let status = postgres.process().stop().await?;
            assert!(status.success(), "{}", postgres.process().obituary(status));
        }
        postgres.restart().await?;
    }
    drop(postgres);
    let postgres = Postgres::start(folder.path()).await?;
    let count = postgres.client().await?.query_one("SELECT count(*) FROM kept", &[]).await?;
    assert_eq!(count.get::<_, i64>(0), 3);
    Ok(())
}

#[tokio::test]
async fn a_kill_leaves_no_backend_behind() -> Result<()> {
    let folder = TempDir::with_prefix("spillway-test-")?;
    let mut postgres = Postgres::start(folder.path()).await?;
    let busy = postgres.client().await?;
    let backend: i32 = busy.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    let endless = "SELECT count(*) FROM pg_class a, pg_class b, pg_class c, pg_class d, pg_class e";
    let query = tokio::spawn(async move { busy.batch_execute(endless).await });
    let client = postgres.client().await?;
    let active = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND query = $2";
    timeout(PATIENCE, async {
        while client.query_opt(active, &[&backend, &endless]).await?.is_none() {}
        anyhow::Ok(())
    })
    .await
    .context("the query does not begin")??;
    postgres.process().kill().await?;
    let left = std::fs::read_to_string(format!("/proc/{backend}/stat")).unwrap_or_default();
    assert!(left.is_empty() || left.contains(") Z "), "{left}");
    assert!(query.await?.is_err());
    Ok(())
}

#[tokio::test]
async fn it_can_be_halted_and_goes_on() -> Result<()> {
    let folder = TempDir::with_prefix("spillway-test-")?;
    let mut postgres = Postgres::start(folder.path()).await?;
    let client = postgres.client().await?;
    postgres.process().signal(Signal::STOP);
    let mut answer = Box::pin(client.query_one("SELECT 1", &[]));
    assert!(timeout(Duration::from_millis(300), &mut answer).await.is_err());
    postgres.process().signal(Signal::CONT);
    timeout(PATIENCE, answer).await.context("it does not go on")??;
    Ok(())
}

#[tokio::test]
async fn databases_are_apart_and_want_the_password() -> Result<()> {
    let folder = TempDir::with_prefix("spillway-test-")?;
    let postgres = Postgres::start(folder.path()).await?;
    postgres.client().await?.batch_execute("CREATE TABLE here (n bigint)").await?;
    let other = Postgres::connect(&postgres.create_database("other").await?).await?;
    let tables = "SELECT count(*) FROM pg_tables WHERE tablename = 'here'";
    assert_eq!(other.query_one(tables, &[]).await?.get::<_, i64>(0), 0);
    let wrong = postgres.url().replace('@', "x@");
    assert!(Postgres::connect(&wrong).await.is_err());
    Ok(())
}
