//! The usual questions, to the table that is shipped and to the stock one.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use spillway_bench::variants::{FIRST_TABLE, SHIPPED_TABLE, STOCK_TABLE};

use crate::Plan;
use crate::costs::{create, fill};
use crate::engine::{Server, Summary};
use crate::spans::{self, DAY};

/// A question.
struct Question {
    name: &'static str,
    sql: &'static str,
    /// The index that is there for it.
    index: Option<&'static str>,
}

/// `{tenant}` is a condition on the tenant, which a stock table has in an attribute; `{hour}` the last hour; `{trace}` a trace,
/// `{user}` a user of that tenant and hour.
const QUESTIONS: [Question; 10] = [
    Question {
        name: "a trace by its id, by the view's hint",
        sql: "WITH (SELECT (min(Start), max(End) + 1) FROM otel_traces_trace_id_ts WHERE TraceId = '{trace}') AS found
              SELECT * FROM otel_traces WHERE TraceId = '{trace}' AND Timestamp >= found.1 AND Timestamp <= found.2",
        index: Some("idx_trace_id"),
    },
    Question {
        name: "a trace by its id alone",
        sql: "SELECT * FROM otel_traces WHERE TraceId = '{trace}'",
        index: Some("idx_trace_id"),
    },
    Question {
        name: "the slowest of a service in the last hour",
        sql: "SELECT TraceId, SpanName, Duration FROM otel_traces
              WHERE {tenant} AND ServiceName = 'service-7' AND {hour} AND Duration > 50000000
              ORDER BY Duration DESC, TraceId, SpanName LIMIT 50",
        index: Some("idx_duration"),
    },
    Question {
        name: "those of a tenant that took more than 200 ms, in the last hour",
        sql: "SELECT TraceId, SpanName, Duration FROM otel_traces
              WHERE {tenant} AND {hour} AND Duration > 200000000
              ORDER BY Duration DESC, TraceId, SpanName LIMIT 50",
        index: Some("idx_duration"),
    },
    Question {
        name: "those of a user in the last hour",
        sql: "SELECT TraceId, SpanName, Timestamp FROM otel_traces
              WHERE {tenant} AND {hour} AND SpanAttributes['user.id'] = '{user}' ORDER BY Timestamp, SpanName",
        index: Some("idx_span_attr_value"),
    },
    Question {
        name: "those with an attribute that few services set, in the last hour",
        sql: "SELECT ServiceName, count() FROM otel_traces
              WHERE {tenant} AND {hour} AND mapContains(SpanAttributes, 'messaging.kafka.offset')
              GROUP BY ServiceName ORDER BY ServiceName",
        index: Some("idx_span_attr_key"),
    },
    Question {
        name: "those of an instance in the last hour",
        sql: "SELECT TraceId, SpanName, Timestamp FROM otel_traces
              WHERE {tenant} AND {hour} AND ResourceAttributes['service.instance.id'] = 'pod-77'
              ORDER BY Timestamp, SpanName",
        index: Some("idx_res_attr_value"),
    },
    Question {
        name: "those of cron jobs in the last hour",
        sql: "SELECT ServiceName, count() FROM otel_traces
              WHERE {tenant} AND {hour} AND mapContains(ResourceAttributes, 'k8s.cronjob.name')
              GROUP BY ServiceName ORDER BY ServiceName",
        index: Some("idx_res_attr_key"),
    },
    Question {
        name: "a tenant's longest traces in the last hour, by their roots",
        sql: "SELECT TraceId, SpanName, Duration FROM otel_traces
              WHERE {tenant} AND {hour} AND ParentSpanId = '' ORDER BY Duration DESC, TraceId LIMIT 50",
        index: None,
    },
    Question {
        name: "a tenant's error rate by minute, the last hour",
        sql: "SELECT toStartOfMinute(Timestamp) AS minute, countIf(StatusCode = 'Error') / count() FROM otel_traces
              WHERE {tenant} AND {hour} GROUP BY minute ORDER BY minute",
        index: None,
    },
];
/// With fewer rows a tenant may have none in the hour.
const ENOUGH_FOR_ALL: u64 = 5_000_000;
const OWN_TENANT: &str = "TenantId = 'tenant-1'";
const STOCK_TENANT: &str = "ResourceAttributes['cloud.account.id'] = '120000000001'";

/// What a question takes of a table.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// Milliseconds, of each time.
    pub ms: Vec<f64>,
    /// Rows of the answer.
    pub rows: usize,
    pub read_rows: u64,
    pub read_bytes: u64,
}

/// A question, and what each took for it.
#[derive(Debug, Serialize)]
pub struct Answers {
    pub question: &'static str,
    pub shipped: Answer,
    /// Of the shipped table, when the index that is there for the question is not looked into.
    pub without_index: Option<(&'static str, Answer)>,
    /// Of the table that was shipped first.
    pub first: Answer,
    pub stock: Answer,
}

/// Fills both tables, and asks them in turns.
pub async fn measure(server: &mut Server, plan: &Plan) -> Result<Vec<Answers>> {
    if plan.question_rows == 0 {
        return Ok(Vec::new());
    }
    for variant in [SHIPPED_TABLE, FIRST_TABLE, STOCK_TABLE] {
        eprintln!("bench-schema: {} rows for questions, {}", plan.question_rows, variant.name);
        spans::make(server, &variant, plan.question_rows, plan.batch).await?;
        create(server, &variant).await?;
        fill(server, &variant, plan.question_rows.div_ceil(plan.batch)).await?;
        spans::remove(server).await?;
    }
    let hour = format!(
        "Timestamp >= toDateTime('{DAY} 23:00:00', 'UTC') AND Timestamp < toDateTime('{DAY} 23:59:59', 'UTC')"
    );
    let sql = "SELECT TraceId FROM otel_traces LIMIT 1 OFFSET 1234";
    let (trace, _) = server.ask(SHIPPED_TABLE.database, sql).await?;
    let sql =
        format!("SELECT SpanAttributes['user.id'] FROM otel_traces WHERE {OWN_TENANT} AND {hour} LIMIT 1");
    let (user, _) = server.ask(SHIPPED_TABLE.database, &sql).await?;
    let mut answers = Vec::new();
    for Question { name, sql, index } in QUESTIONS {
        let sql = |tenant: &str| {
            let sql = sql.replace("{tenant}", tenant).replace("{hour}", &hour);
            sql.replace("{trace}", trace.trim()).replace("{user}", user.trim())
        };
        let of_shipped = sql(OWN_TENANT);
        let mut asked =
            vec![(SHIPPED_TABLE.database, of_shipped.clone()), (STOCK_TABLE.database, sql(STOCK_TENANT))];
        asked.insert(1, (FIRST_TABLE.database, of_shipped.clone()));
        if let Some(index) = index {
            let without = format!("{of_shipped} SETTINGS ignore_data_skipping_indices = '{index}'");
            asked.push((SHIPPED_TABLE.database, without));
        }
        let mut given = ask(server, &asked, plan.times).await?.into_iter();
        let mut next = || given.next().context("three were asked");
        let (shipped, first, stock) = (next()?, next()?, next()?);
        ensure!(shipped.rows > 0 || plan.question_rows < ENOUGH_FOR_ALL, "{name}: no answer");
        answers.push(Answers {
            question: name,
            shipped,
            without_index: index.zip(given.next()),
            first,
            stock,
        });
    }
    Ok(answers)
}

/// Asks each once for what it reads, and then all in turns.
async fn ask(server: &Server, asked: &[(&str, String)], times: usize) -> Result<Vec<Answer>> {
    let (mut texts, mut answers) = (Vec::new(), Vec::new());
    for (database, sql) in asked {
        let (text, Summary { read_rows, read_bytes }) = server.ask(database, sql).await?;
        let rows = text.lines().count();
        answers.push(Answer { ms: Vec::new(), rows, read_rows, read_bytes });
        // Whoever asks for all columns gets those that only one of them has.
        texts.push(if sql.contains("SELECT * ") { rows.to_string() } else { text });
    }
    ensure!(texts.windows(2).all(|two| two[0] == two[1]), "not the same answers: {asked:?}");
    for _ in 0..times {
        for ((database, sql), answer) in asked.iter().zip(&mut answers) {
            let began = Instant::now();
            server.ask(database, sql).await?;
            answer.ms.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    Ok(answers)
}
