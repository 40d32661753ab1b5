//! What Grafana's ClickHouse plugin (4.20) and HyperDX (2.36) ask, in the forms of their own generators, and what
//! people ask: of both layouts, on servers of three zones, in sessions of three zones.

use anyhow::{Result, ensure};
use clickhouse::Client;

use super::{Server, execute};

const ZONES: [&str; 3] = ["UTC", "America/New_York", "Asia/Kolkata"];
/// 2026-11-19 00:00:00 in UTC.
const START: u64 = 1_795_046_400;
/// A row every ten minutes, for three days; six are of a trace.
const STEP: u64 = 600;
const ROWS: u64 = 432;
/// From 02:00 until before 05:00 on the second day in UTC.
const FROM: u64 = START + 86_400 + 2 * 3_600;
const UNTIL: u64 = START + 86_400 + 5 * 3_600;
const WITHIN: &str = "18";

fn rows() -> String {
    format!(
        "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ServiceName, SpanName, StatusCode, Duration, SpanAttributes,
             `Events.Timestamp`, `Events.Name`, `Events.Attributes`, TenantId, ObjectKey, RowNo)
         SELECT fromUnixTimestamp64Nano(toInt64({START} + number * {STEP}) * 1000000000 + 123456789) AS at,
             concat('trace', toString(intDiv(number, 6))), toString(number), 'shop', 'GET', 'Ok', 1000000,
             map('k', 'v'), [at], ['e'], [map('a', 'b')], if(intDiv(number, 6) % 2 = 0, 'acme', 'other'), 'o', number
         FROM numbers({ROWS})"
    )
}

/// A question, and its answer.
struct Question {
    name: &'static str,
    sql: String,
    answer: String,
    /// Whether the first layout answers so, too.
    first: Answer,
}

#[derive(PartialEq)]
enum Answer {
    Same,
    /// Only where server and session are in UTC.
    SameInUtc,
}

fn question(name: &'static str, sql: String, answer: impl ToString, first: Answer) -> Question {
    Question { name, sql, answer: answer.to_string(), first }
}

fn grafana() -> Vec<Question> {
    let of_trace = |select: &str| {
        format!(
            "WITH 'trace32' AS wanted, (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = wanted) AS trace_start,
             (SELECT max(End) + 1 FROM otel_traces_trace_id_ts WHERE TraceId = wanted) AS trace_end
             SELECT {select} FROM (SELECT \"TraceId\" AS traceID, \"SpanId\" AS spanID,
                 multiply(toUnixTimestamp64Nano(\"Timestamp\"), 0.000001) AS startTime, multiply(\"Duration\", 0.000001) AS duration,
                 arrayMap(key -> map('key', key, 'value', \"SpanAttributes\"[key]), mapKeys(\"SpanAttributes\")) AS tags,
                 if(\"StatusCode\" IN ('Error', 'STATUS_CODE_ERROR'), 2, 0) AS statusCode,
                 arrayMap((name, timestamp, attributes) -> tuple(name, toString(toUnixTimestamp64Milli(timestamp)),
                     arrayMap(key -> map('key', key, 'value', attributes[key]), mapKeys(attributes)))
                     ::Tuple(name String, timestamp String, fields Array(Map(String, String))),
                     \"Events\".Name, \"Events\".Timestamp, \"Events\".Attributes) AS logs
                 FROM otel_traces WHERE traceID = wanted AND \"Timestamp\" >= trace_start AND \"Timestamp\" <= trace_end)"
        )
    };
    let first_of_trace = START + 32 * 6 * STEP;
    let hours: Vec<_> = (FROM..UNTIL).step_by(3_600).map(|hour| format!("({hour},6)")).collect();
    let (from_ms, until_ms) = (FROM * 1000, UNTIL * 1000 - 1);
    vec![
        question("a trace by its id", of_trace("toString(count())"), 6, Answer::Same),
        question(
            "a trace by its id: when it began, in milliseconds",
            of_trace("toString(toUInt64(min(startTime)))"),
            first_of_trace * 1000 + 123,
            Answer::Same,
        ),
        question(
            "a trace by its id: when its first event was",
            of_trace("min(logs[1].timestamp)"),
            first_of_trace * 1000 + 123,
            Answer::Same,
        ),
        question(
            "$__timeFilter",
            format!("SELECT toString(count()) FROM otel_traces WHERE Timestamp >= toDateTime({FROM}) AND Timestamp <= toDateTime({UNTIL})"),
            WITHIN,
            Answer::Same,
        ),
        question(
            "$__timeFilter_ms, the slowest first",
            format!(
                "SELECT toString(count()) FROM (SELECT \"TraceId\" AS traceID, \"Timestamp\" AS startTime FROM otel_traces
                 WHERE ( Timestamp >= fromUnixTimestamp64Milli({from_ms}) AND Timestamp <= fromUnixTimestamp64Milli({until_ms}) )
                 AND ( Duration > 0 ) ORDER BY Timestamp DESC, Duration DESC LIMIT 1000)"
            ),
            WITHIN,
            Answer::Same,
        ),
        question(
            "$__timeInterval of an hour",
            format!(
                "SELECT toString(groupArray((toUnixTimestamp(time), spans))) FROM (
                     SELECT toStartOfInterval(toDateTime(Timestamp), INTERVAL 3600 second) AS time, count() AS spans
                     FROM otel_traces WHERE Timestamp >= toDateTime({FROM}) AND Timestamp < toDateTime({UNTIL})
                     GROUP BY time ORDER BY time)"
            ),
            format!("[{}]", hours.join(",")),
            Answer::Same,
        ),
        question(
            "$__dateFilter",
            "SELECT toString(min(toUnixTimestamp(Timestamp))) FROM otel_traces
             WHERE Timestamp >= toDate('2026-11-20') AND Timestamp <= toDate('2026-11-21')"
                .to_owned(),
            START + 86_400,
            Answer::SameInUtc,
        ),
    ]
}

fn hyperdx() -> Vec<Question> {
    let (from_ms, until_ms) = (FROM * 1000, UNTIL * 1000);
    let within = format!(
        "(Timestamp >= fromUnixTimestamp64Milli({from_ms}) AND Timestamp < fromUnixTimestamp64Milli({until_ms}))"
    );
    vec![
        question(
            "spans of a time, newest first",
            format!(
                "SELECT toString(count()) FROM (SELECT Timestamp, ServiceName, SpanName FROM otel_traces
                 WHERE {within} ORDER BY Timestamp DESC LIMIT 200)"
            ),
            WITHIN,
            Answer::Same,
        ),
        question(
            "spans by minute, from full minutes on",
            format!(
                "SELECT toString((sum(n), min(toUnixTimestamp(bucket)), max(toUnixTimestamp(bucket)))) FROM (
                     SELECT count() AS n, toStartOfInterval(toDateTime(Timestamp), INTERVAL 1 minute) AS bucket FROM otel_traces
                     WHERE (Timestamp >= toStartOfInterval(fromUnixTimestamp64Milli({from_ms}), INTERVAL 1 minute) - INTERVAL 1 minute
                        AND Timestamp <= toStartOfInterval(fromUnixTimestamp64Milli({until_ms}), INTERVAL 1 minute) - INTERVAL 1 minute)
                     GROUP BY bucket)"
            ),
            format!("({WITHIN},{FROM},{})", UNTIL - STEP),
            Answer::Same,
        ),
        question(
            "$__timeInterval_ms",
            format!(
                "SELECT toString(count()) FROM (SELECT toStartOfInterval(toDateTime64(Timestamp, 3), INTERVAL 60000 millisecond) AS t
                 FROM otel_traces WHERE {within} GROUP BY t)"
            ),
            WITHIN,
            Answer::Same,
        ),
        question(
            "one row by what it shows",
            format!(
                "SELECT SpanId FROM otel_traces WHERE Timestamp = parseDateTime64BestEffort('2026-11-20T02:00:00.123456789Z', 9)
                 AND TraceId = 'trace{}'",
                (FROM - START) / STEP / 6
            ),
            (FROM - START) / STEP,
            Answer::Same,
        ),
    ]
}

fn people() -> Vec<Question> {
    let between = |from: &str, until: &str| {
        format!("SELECT toString(count()) FROM otel_traces WHERE Timestamp >= {from} AND Timestamp < {until}")
    };
    vec![
        question(
            "a text is a time in UTC",
            between("'2026-11-20 02:00:00'", "'2026-11-20 05:00:00'"),
            WITHIN,
            Answer::SameInUtc,
        ),
        question(
            "a literal that has its zone",
            between(
                "toDateTime64('2026-11-20 02:00:00', 9, 'UTC')",
                "toDateTime64('2026-11-20 05:00:00', 9, 'UTC')",
            ),
            WITHIN,
            Answer::Same,
        ),
        question(
            "a day",
            "SELECT toString(min(toUnixTimestamp(Timestamp))) FROM otel_traces WHERE toDate(Timestamp) = '2026-11-20'".to_owned(),
            START + 86_400,
            Answer::SameInUtc,
        ),
        question(
            "what a time reads like",
            format!("SELECT toString(min(Timestamp)) FROM otel_traces WHERE Timestamp >= toDateTime({FROM})"),
            "2026-11-20 02:00:00.123456789",
            Answer::SameInUtc,
        ),
        question(
            "a tenant's trace by its id",
            "SELECT toString(count()) FROM otel_traces WHERE TraceId = 'trace32' AND TenantId = 'acme'"
                .to_owned(),
            6,
            Answer::Same,
        ),
    ]
}

async fn answer(client: &Client, sql: &str) -> Result<String> {
    Ok(client.query_raw(sql).fetch_optional::<String>().await?.unwrap_or_else(|| "nothing".to_owned()))
}

#[tokio::test]
async fn every_reader_is_answered_rightly_on_servers_and_in_sessions_of_three_zones() -> Result<()> {
    let questions: Vec<_> = grafana().into_iter().chain(hyperdx()).chain(people()).collect();
    // A question that the first layout answers rightly everywhere would say nothing of the present one.
    let mut wrong_of_first = Vec::new();
    for server_zone in ZONES {
        let server = Server::start(server_zone).await?;
        let [(old, _), (new, _)] =
            [server.database("old", true).await?, server.database("new", false).await?];
        for client in [&old, &new] {
            execute(client, &rows()).await?;
        }
        for session_zone in ZONES {
            let in_session = |client: &Client| client.clone().with_setting("session_timezone", session_zone);
            for Question { name, sql, answer: right, first } in &questions {
                let asked = format!("{name}; server in {server_zone}, session in {session_zone}:\n{sql}");
                let of_new = answer(&in_session(&new), sql).await?;
                ensure!(of_new == *right, "{of_new} instead of {right} for {asked}");
                let of_old = answer(&in_session(&old), sql).await?;
                let is_utc = server_zone == "UTC" && session_zone == "UTC";
                ensure!(
                    of_old == *right || (*first == Answer::SameInUtc && !is_utc),
                    "the first layout: {of_old} instead of {right} for {asked}"
                );
                if of_old != *right {
                    wrong_of_first.push(*name);
                }
            }
        }
    }
    let expected = questions.iter().filter(|question| question.first == Answer::SameInUtc);
    for Question { name, .. } in expected {
        ensure!(wrong_of_first.contains(name), "the first layout answers it rightly: {name}");
    }
    Ok(())
}
