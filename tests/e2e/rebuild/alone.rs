//! Without consumers: what is moved, what is refused, and what a change of the server's zone has done before.

use std::num::NonZeroUsize;

use anyhow::{Result, ensure};
use clickhouse::Client;
use origin_consumer::clickhouse::ClickHouseConfig;
use origin_consumer::config::Config;
use origin_consumer::rebuild::{RebuildArgs, RebuildError, rebuild};
use tokio_util::sync::CancellationToken;

use super::{assert_present_layout, assert_same_rows, assert_trace_times};
use crate::table::{Server, count, execute, text};

const ROWS: u64 = 3 * 144 * 20;

/// Spans of three days, twenty every ten minutes, in objects of ten.
async fn fill(client: &Client) -> Result<()> {
    let rows = format!(
        "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ServiceName, SpanName, Duration, SpanAttributes, `Events.Timestamp`,
             `Events.Name`, `Events.Attributes`, TenantId, ObjectKey, RowNo, ReceivedAt)
         SELECT toDateTime64('2026-11-19 00:00:00', 9, 'UTC') + intDiv(number, 20) * 600 AS at, toString(intDiv(number, 4)),
             toString(number), concat('service', toString(number % 7)), 'GET', number, map('k', toString(number)), [at], ['e'],
             [map('a', 'b')], if(intDiv(number, 10) % 3 = 0, 'acme', 'other'),
             concat('v1/', formatDateTime(at, '%Y/%m/%d/%H/%i', 'UTC'), '/a/', toString(intDiv(number, 10)), '-10.otlp'), number % 10,
             now64(3) FROM numbers({ROWS})"
    );
    execute(client, &rows).await
}

fn arguments() -> RebuildArgs {
    RebuildArgs {
        file: None,
        database: None,
        table: None,
        dry_run: false,
        no_consumers: true,
        drop_old: false,
        threads: NonZeroUsize::MIN,
    }
}

async fn run(config: &ClickHouseConfig, arguments: &RebuildArgs) -> Result<u8, RebuildError> {
    let config = Config { clickhouse: config.clone(), ..Config::default() };
    rebuild(arguments, &config, CancellationToken::new()).await
}

#[tokio::test]
async fn a_table_is_moved_to_what_a_new_one_is_in_every_zone() -> Result<()> {
    for zone in ["UTC", "America/New_York", "Asia/Kolkata"] {
        let server = Server::start(zone).await?;
        let (old, config) = server.database("old", true).await?;
        let (new, _) = server.database("new", false).await?;
        fill(&old).await?;
        ensure!(run(&config, &arguments()).await? == 0);
        assert_same_rows(&old, "otel_traces_rebuild", "otel_traces").await?;
        assert_eq!(count(&old, "SELECT count() FROM otel_traces").await?, ROWS);
        assert_present_layout(&old, &new).await?;
        assert_trace_times(&old).await?;
        // Once more: both are compared again, and nothing is done.
        ensure!(run(&config, &arguments()).await? == 0);
        ensure!(run(&config, &RebuildArgs { drop_old: true, ..arguments() }).await? == 0);
        let left = "SELECT toString(groupArray(name)) FROM system.tables WHERE database = currentDatabase() AND name LIKE '%rebuild%'";
        assert_eq!(text(&old, left).await?, "[]");
        ensure!(run(&config, &arguments()).await? == 0, "there is nothing to do");
        assert_eq!(count(&old, "SELECT count() FROM otel_traces").await?, ROWS);
    }
    Ok(())
}

#[tokio::test]
async fn what_questions_by_time_miss_after_a_change_of_the_servers_zone_is_moved_as_well() -> Result<()> {
    let server = Server::start("America/New_York").await?;
    let (old, _) = server.database("old", true).await?;
    fill(&old).await?;
    let server = server.moved_to("UTC").await?;
    let old = server.engine.server().with_database("old");
    let config =
        ClickHouseConfig { url: server.engine.url.clone(), database: "old".to_owned(), ..Default::default() };
    let day =
        "SELECT count() FROM otel_traces WHERE Timestamp >= toDateTime64('2026-11-20 00:00:00', 9, 'UTC')
               AND Timestamp < toDateTime64('2026-11-21 00:00:00', 9, 'UTC')";
    let seen = count(&old, day).await?;
    ensure!(seen < ROWS / 3, "the first layout answers it rightly: {seen}");
    ensure!(run(&config, &arguments()).await? == 0);
    assert_same_rows(&old, "otel_traces_rebuild", "otel_traces").await?;
    assert_eq!(count(&old, day).await?, ROWS / 3);
    Ok(())
}

#[tokio::test]
async fn columns_indexes_settings_and_ttl_of_an_operators_own_are_kept() -> Result<()> {
    let server = Server::start("UTC").await?;
    let (old, config) = server.database("old", true).await?;
    for alter in [
        "ADD COLUMN Mine String DEFAULT concat(TraceId, '!') CODEC(ZSTD(3))",
        "ADD COLUMN Made UInt8 MATERIALIZED length(SpanName)",
        "ADD INDEX mine Mine TYPE bloom_filter(0.01) GRANULARITY 4",
        "MODIFY SETTING merge_with_ttl_timeout = 1, non_replicated_deduplication_window = 20000",
        "MODIFY TTL toDateTime(Timestamp) + INTERVAL 20 YEAR",
    ] {
        execute(&old, &format!("ALTER TABLE otel_traces {alter}")).await?;
    }
    fill(&old).await?;
    until_abort(&config, "rebuild::ttl_set=1*return(abort)").await?;
    ensure!(run(&config, &arguments()).await? == 0);
    assert_same_rows(&old, "otel_traces_rebuild", "otel_traces").await?;
    let made = "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = 'otel_traces'";
    let made = text(&old, made).await?;
    for kept in [
        "`Mine` String DEFAULT concat(TraceId, '!') CODEC(ZSTD(3))",
        "`Made` UInt8 MATERIALIZED length(SpanName)",
        "INDEX mine Mine",
        "TTL toDateTime(Timestamp) + toIntervalYear(20)",
        "non_replicated_deduplication_window = 20000",
    ] {
        ensure!(made.contains(kept), "{kept}: {made}");
    }
    ensure!(!made.contains("materialize_ttl_recalculate_only"), "{made}");
    assert_eq!(
        count(&old, "SELECT countIf(Mine = concat(TraceId, '!') AND Made = 3) FROM otel_traces").await?,
        ROWS
    );
    Ok(())
}

#[tokio::test]
async fn what_a_ttl_takes_away_meanwhile_is_no_difference() -> Result<()> {
    let server = Server::start("UTC").await?;
    let (old, config) = server.database("old", true).await?;
    fill(&old).await?;
    // The first of the days, after it was copied: as if its time had come.
    execute(&old, "ALTER TABLE otel_traces MODIFY SETTING merge_with_ttl_timeout = 1").await?;
    ensure!(run(&config, &arguments()).await? == 0);
    execute(&old, "ALTER TABLE otel_traces_rebuild DROP PARTITION '2026-11-19'").await?;
    ensure!(run(&config, &arguments()).await? == 0, "the old table may have less");
    execute(&old, "ALTER TABLE otel_traces DROP PARTITION '2026-11-20'").await?;
    ensure!(run(&config, &arguments()).await? == 3, "the new one may not");
    ensure!(run(&config, &RebuildArgs { drop_old: true, ..arguments() }).await? == 3);
    assert_eq!(
        count(&old, "SELECT count() FROM otel_traces_rebuild").await?,
        ROWS / 3 * 2,
        "nothing is dropped"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_deleted_added_or_doubled_between_two_runs_is_caught_up_with() -> Result<()> {
    let server = Server::start("Asia/Kolkata").await?;
    let (old, config) = server.database("old", true).await?;
    fill(&old).await?;
    ensure!(run(&config, &RebuildArgs { dry_run: true, ..arguments() }).await? == 0);
    until_abort(&config, "rebuild::filled=1*return(abort)").await?;
    for change in [
        // Rows of objects, and a whole day.
        "ALTER TABLE otel_traces DELETE WHERE RowNo = 3 AND TenantId = 'acme'",
        "ALTER TABLE otel_traces DELETE WHERE toDate(Timestamp, 'UTC') = '2026-11-19'",
        // The rest of objects that were there in part, and objects that were not there, on days that are copied, and on another one.
        "INSERT INTO otel_traces (Timestamp, ObjectKey, RowNo) SELECT toDateTime64('2026-11-20 23:59:59', 9, 'UTC') + number,
            concat('v1/2026/11/21/00/00/a/late', toString(number % 2)), number FROM numbers(6)",
        "INSERT INTO otel_traces (Timestamp, ObjectKey, RowNo) SELECT any(Timestamp), ObjectKey, 10 FROM otel_traces
            WHERE TenantId = 'other' GROUP BY ObjectKey LIMIT 100",
        "INSERT INTO otel_traces (Timestamp, ObjectKey, RowNo) SELECT toDateTime64('2017-01-01 00:00:00', 9, 'UTC'), '', number
            FROM numbers(3)",
        // As a fault has left it: it is as it was, which is for the audit to see.
        "INSERT INTO otel_traces (Timestamp, ObjectKey, RowNo) SELECT Timestamp, ObjectKey, RowNo FROM otel_traces
            WHERE TenantId = 'acme' AND RowNo = 7 LIMIT 10",
    ] {
        execute(&old, change).await?;
    }
    until_abort(&config, "rebuild::caught_up=1*return(abort)").await?;
    execute(&old, "ALTER TABLE otel_traces DELETE WHERE ObjectKey = '' AND RowNo = 1").await?;
    ensure!(run(&config, &arguments()).await? == 0);
    assert_same_rows(&old, "otel_traces_rebuild", "otel_traces").await?;
    assert_eq!(count(&old, "SELECT count() FROM otel_traces WHERE ObjectKey LIKE '%late%'").await?, 6);
    assert_eq!(count(&old, "SELECT count() FROM otel_traces WHERE ObjectKey = ''").await?, 2);
    assert_trace_times(&old).await?;
    Ok(())
}

#[tokio::test]
async fn what_came_into_the_old_table_before_the_exchange_is_brought_into_the_new_one() -> Result<()> {
    let server = Server::start("UTC").await?;
    let (old, config) = server.database("old", true).await?;
    fill(&old).await?;
    until_abort(&config, "rebuild::exchanged=1*return(abort)").await?;
    // As an insert that was under way when the tables were exchanged, and something that was deleted from the new one since.
    let late = "INSERT INTO otel_traces_rebuild (Timestamp, ObjectKey, RowNo)
        SELECT toDateTime64('2026-11-20 12:00:00', 9, 'UTC'), 'v1/2026/11/20/12/00/a/late', number FROM numbers(3)";
    execute(&old, late).await?;
    execute(&old, "ALTER TABLE otel_traces DELETE WHERE RowNo = 5 AND toDate(Timestamp) = '2026-11-21'")
        .await?;
    ensure!(run(&config, &arguments()).await? == 3, "what was deleted is not brought back, and is said");
    assert_eq!(count(&old, "SELECT count() FROM otel_traces WHERE ObjectKey LIKE '%late'").await?, 3);
    assert_eq!(count(&old, "SELECT count() FROM otel_traces").await?, ROWS + 3 - ROWS / 30);
    Ok(())
}

#[tokio::test]
async fn of_two_runs_the_later_one_goes_on() -> Result<()> {
    let server = Server::start("UTC").await?;
    let (old, config) = server.database("old", true).await?;
    fill(&old).await?;
    let mut earlier = command(&config, "rebuild::filled=sleep(5000)")?;
    let earlier = tokio::task::spawn_blocking(move || earlier.output());
    let filled = "SELECT count() FROM spillway_rebuild WHERE step = 'filled'";
    while count(&old, filled).await.unwrap_or(0) < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    ensure!(run(&config, &arguments()).await? == 0);
    let earlier = earlier.await??;
    let said = String::from_utf8_lossy(&earlier.stderr).into_owned();
    ensure!(earlier.status.code() == Some(1) && said.contains("another rebuild-table has begun"), "{said}");
    assert_same_rows(&old, "otel_traces_rebuild", "otel_traces").await?;
    assert_eq!(count(&old, "SELECT count() FROM otel_traces").await?, ROWS);
    Ok(())
}

/// Runs the command until it aborts at a failpoint.
async fn until_abort(config: &ClickHouseConfig, failpoint: &str) -> Result<()> {
    let mut command = command(config, failpoint)?;
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    ensure!(output.status.code().is_none(), "{failpoint}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn command(config: &ClickHouseConfig, failpoint: &str) -> Result<std::process::Command> {
    let mut command = std::process::Command::new(local_stack::tools::binary("origin-consumer")?);
    command.args(["rebuild-table", "--no-consumers"]).env("FAILPOINTS", failpoint);
    command
        .env("SPILLWAY_CLICKHOUSE__URL", &config.url)
        .env("SPILLWAY_CLICKHOUSE__DATABASE", &config.database);
    Ok(command)
}

#[tokio::test]
async fn a_table_that_cannot_be_moved_is_refused_before_anything_is_made() -> Result<()> {
    let server = Server::start("UTC").await?;
    let (old, config) = server.database("old", true).await?;
    fill(&old).await?;
    let refused = async |why: &str| -> Result<()> {
        let error =
            run(&config, &arguments()).await.err().map(|error| (error.exit_code(), error.to_string()));
        ensure!(
            error.as_ref().is_some_and(|(code, text)| *code == 2 && text.contains(why)),
            "{why}: {error:?}"
        );
        let made =
            "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name LIKE '%_rebuild'";
        ensure!(count(&old, made).await? == 0, "{why}");
        Ok(())
    };
    execute(&old, "ALTER TABLE otel_traces DROP COLUMN Repairs").await?;
    refused("it has no column Repairs").await?;
    execute(&old, "ALTER TABLE otel_traces ADD COLUMN Repairs Array(LowCardinality(String))").await?;
    execute(&old, "DROP VIEW otel_traces_trace_id_ts_mv SYNC").await?;
    let other = "CREATE MATERIALIZED VIEW otel_traces_trace_id_ts_mv TO otel_traces_trace_id_ts AS
        SELECT TraceId, min(toDateTime(Timestamp)) AS Start, max(toDateTime(Timestamp)) AS End FROM otel_traces
        WHERE TraceId != '' GROUP BY TraceId";
    execute(&old, other).await?;
    refused("its query is another one").await?;
    execute(&old, "DROP VIEW otel_traces_trace_id_ts_mv SYNC").await?;
    let settings = "enable_block_number_column = 1, enable_block_offset_column = 1";
    execute(&old, &format!("ALTER TABLE otel_traces MODIFY SETTING {settings}")).await?;
    execute(&old, "UPDATE otel_traces SET StatusMessage = 'x' WHERE RowNo = 5").await?;
    refused("parts of lightweight updates are not applied").await?;
    let nowhere = RebuildArgs { table: Some("nowhere".to_owned()), ..arguments() };
    let error = run(&config, &nowhere).await.err();
    ensure!(matches!(error, Some(RebuildError::NoTable(_))), "{error:?}");
    let unknown = RebuildArgs { table: Some("nowhere".to_owned()), no_consumers: false, ..arguments() };
    execute(&old, "CREATE TABLE nowhere AS otel_traces").await?;
    let error = run(&config, &unknown).await.err();
    ensure!(matches!(error, Some(RebuildError::OtherTable(_))), "{error:?}");
    Ok(())
}
