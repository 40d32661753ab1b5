//! What the server does with a table that operators change: the facts that docs/table.md and the runbooks state.

use anyhow::Result;
use clickhouse::Client;
use origin_consumer::insert::SpanTable;

use super::{Server, count, execute};

const BY_PROJECTION: &str =
    "SELECT toUInt64(sum(rows)) FROM (SELECT ObjectKey, count() AS rows FROM otel_traces GROUP BY ObjectKey)
    SETTINGS force_optimize_projection_name = 'by_object'";
const ROWS: &str = "INSERT INTO otel_traces (Timestamp, ObjectKey, RowNo)
    SELECT toDateTime64('2026-11-20 00:00:00', 9, 'UTC') + number, toString(number % 7), number FROM numbers(100)";

#[tokio::test]
async fn one_lightweight_update_stops_the_projection_of_the_whole_table_until_its_patch_is_gone() -> Result<()>
{
    let server = Server::start("UTC").await?;
    let (client, config) = server.database("spillway", false).await?;
    let table = SpanTable::new(&config, std::time::Duration::from_secs(30));
    // What such an update wants of a table.
    let settings = "enable_block_number_column = 1, enable_block_offset_column = 1";
    execute(&client, &format!("ALTER TABLE otel_traces MODIFY SETTING {settings}")).await?;
    execute(&client, ROWS).await?;
    assert_eq!(count(&client, BY_PROJECTION).await?, 100);
    assert_eq!(table.condition().await?.patch_parts, 0);

    execute(&client, "UPDATE otel_traces SET StatusMessage = 'x' WHERE RowNo = 5").await?;
    let unused = count(&client, BY_PROJECTION).await.unwrap_err().to_string();
    assert!(unused.contains("not used"), "{unused}");
    assert_eq!(table.condition().await?.patch_parts, 1);
    // Not even for what is inserted afterwards. What is counted is right all the same.
    execute(&client, ROWS).await?;
    assert!(count(&client, BY_PROJECTION).await.is_err());
    assert_eq!(count(&client, "SELECT count() FROM otel_traces WHERE ObjectKey = '0'").await?, 30);

    execute(&client, "ALTER TABLE otel_traces APPLY PATCHES").await?;
    for _ in 0..600 {
        if table.condition().await?.patch_parts == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(count(&client, BY_PROJECTION).await?, 200, "after it is applied, and its part was taken away");
    Ok(())
}

async fn insert(client: &Client, token: &str, rows: &str) -> Result<()> {
    let insert = format!("INSERT INTO otel_traces (Timestamp, RowNo) {rows}");
    let insert = client.query_raw(&insert).with_setting("async_insert", "0");
    Ok(insert.with_setting("insert_deduplication_token", token).execute().await?)
}

/// Two hours around midnight in UTC, from `first` on by row number.
fn around_midnight(first: u32) -> String {
    format!(
        "SELECT toDateTime64('2026-11-20 23:00:00', 9, 'UTC') + number * 3600, {first} + number FROM numbers(2)"
    )
}

/// So one INSERT is for one partition: what a known token drops is then all of it, and seen.
#[tokio::test]
async fn a_known_token_drops_the_parts_of_an_insert_whose_partitions_it_is_known_in() -> Result<()> {
    let server = Server::start("UTC").await?;
    let (client, _) = server.database("spillway", false).await?;
    insert(&client, "t", "SELECT toDateTime64('2026-11-20 12:00:00', 9, 'UTC'), 0").await?;
    insert(&client, "t", &around_midnight(10)).await?;
    let there = "SELECT toUInt64(sum(RowNo)) FROM otel_traces";
    assert_eq!(count(&client, there).await?, 11, "row 10 is dropped, row 11 is stored");
    Ok(())
}

#[tokio::test]
async fn an_insert_of_a_day_goes_into_one_partition_of_the_present_layout_whatever_the_servers_zone()
-> Result<()> {
    let server = Server::start("America/New_York").await?;
    let day = "INSERT INTO otel_traces (Timestamp, RowNo)
        SELECT toDateTime64('2026-11-20 00:00:00', 9, 'UTC') + number * 3600, number FROM numbers(24)";
    let partitions = "SELECT uniqExact(partition_id) FROM system.parts
        WHERE database = currentDatabase() AND table = 'otel_traces' AND active";
    for (name, is_first, expected) in [("old", true, 2), ("new", false, 1)] {
        let (client, _) = server.database(name, is_first).await?;
        execute(&client, day).await?;
        assert_eq!(count(&client, partitions).await?, expected, "{name}");
    }
    Ok(())
}
