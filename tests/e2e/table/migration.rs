//! What `migrate` makes of databases of every age.

use anyhow::Result;
use origin_consumer::insert::{Layout, SpanTable};
use origin_consumer::migrate::migrate;

use super::{Server, count, execute, text};

const COLUMNS: &str = "SELECT toString(groupArray((name, replace(type, ', ''UTC'')', ')'), comment, compression_codec)))
    FROM (SELECT * FROM system.columns WHERE database = currentDatabase() AND table = 'otel_traces' ORDER BY position)";

#[tokio::test]
async fn an_old_database_gets_the_columns_of_a_new_one_and_keeps_its_layout() -> Result<()> {
    let server = Server::start("UTC").await?;
    let (old, old_config) = server.database("old", true).await?;
    let (new, new_config) = server.database("new", false).await?;
    assert_eq!(text(&old, COLUMNS).await?, text(&new, COLUMNS).await?);
    for (config, layout) in [(&old_config, Layout::First), (&new_config, Layout::Utc)] {
        let table = SpanTable::new(config, std::time::Duration::from_secs(30));
        table.check().await?;
        assert_eq!(table.layout().await?, layout);
        assert_eq!(migrate(config).await?, Vec::<&str>::new(), "each step is applied once");
    }
    let recorded =
        "SELECT toString(groupArray(name)) FROM (SELECT name FROM spillway_migrations ORDER BY name)";
    assert_eq!(text(&old, recorded).await?, text(&new, recorded).await?);
    Ok(())
}

#[tokio::test]
async fn a_migration_that_ended_half_way_is_completed() -> Result<()> {
    let server = Server::start("UTC").await?;
    let (new, config) = server.database("new", false).await?;
    execute(&new, "DROP VIEW otel_traces_trace_id_ts_mv SYNC").await?;
    execute(&new, "DROP TABLE otel_traces_trace_id_ts SYNC").await?;
    execute(&new, "TRUNCATE TABLE spillway_migrations").await?;
    migrate(&config).await?;
    let times = "SELECT sorting_key FROM system.tables
                 WHERE database = currentDatabase() AND name = 'otel_traces_trace_id_ts'";
    assert_eq!(text(&new, times).await?, "TraceId, TenantId");

    let (old, config) = server.database("old", true).await?;
    execute(&old, "DROP TABLE otel_traces_trace_id_ts_mv SYNC").await?;
    execute(&old, "TRUNCATE TABLE spillway_migrations").await?;
    migrate(&config).await?;
    let view = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND engine = 'MaterializedView'";
    assert_eq!(count(&old, view).await?, 1);
    Ok(())
}

#[tokio::test]
async fn rows_of_before_answer_with_arrays_of_the_right_sizes_and_old_writers_go_on() -> Result<()> {
    let server = Server::start("UTC").await?;
    let (old, _) = server.database("old", true).await?;
    for column in [
        "`Events.DroppedAttributesCount`",
        "`Links.DroppedAttributesCount`",
        "`Links.Flags`",
        "ResourceDroppedAttributesCount",
        "ScopeDroppedAttributesCount",
        "ResourceEntityRefs",
        "Repairs",
    ] {
        execute(&old, &format!("ALTER TABLE otel_traces DROP COLUMN {column}")).await?;
    }
    execute(&old, "ALTER TABLE spillway_migrations DELETE WHERE name LIKE '0002%'").await?;
    let insert = "INSERT INTO otel_traces (Timestamp, RowNo, `Events.Timestamp`, `Events.Name`, `Events.Attributes`,
                      `Links.TraceId`, `Links.SpanId`, `Links.TraceState`, `Links.Attributes`)
                  SELECT now64(9), number, arrayResize([now64(9)], number), arrayResize(['e'], number),
                      arrayResize([map('k', 'v')], number), ['t'], ['s'], [''], [map('k', 'v')] FROM numbers(5)";
    execute(&old, insert).await?;
    let config = origin_consumer::clickhouse::ClickHouseConfig {
        url: server.engine.url.clone(),
        database: "old".to_owned(),
        ..Default::default()
    };
    assert_eq!(migrate(&config).await?, ["0002_what_otlp_has"]);
    // By a writer that does not know the new columns.
    execute(&old, insert).await?;
    let right = "SELECT countIf(length(`Events.DroppedAttributesCount`) = RowNo AND `Links.Flags` = [0] AND
                     `Links.DroppedAttributesCount` = [0] AND arraySum(`Events.DroppedAttributesCount`) = 0 AND Repairs = []
                     AND ResourceEntityRefs = '' AND ResourceDroppedAttributesCount = 0) FROM otel_traces";
    assert_eq!(count(&old, right).await?, 10);
    assert_eq!(count(&old, "SELECT count() FROM otel_traces ARRAY JOIN Events").await?, 20);
    execute(&old, "OPTIMIZE TABLE otel_traces FINAL").await?;
    assert_eq!(count(&old, right).await?, 10);
    Ok(())
}
