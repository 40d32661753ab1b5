//! The usual questions, to the table that is shipped and to the stock one.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use spillway_bench::variants::{SHIPPED_TABLE, STOCK_TABLE, Variant};

use crate::Plan;
use crate::costs::{create, fill};
use crate::engine::Server;
use crate::spans::{self, DAY};

/// A question.
struct Question {
    name: &'static str,
    sql: &'static str,
    /// Only the shipped table knows tenants; a stock one is asked without.
    tenant: bool,
}

/// `{tenant}` is a condition on the tenant, where the table has one; `{hour}` the last hour; `{trace}` a trace.
const QUESTIONS: [Question; 5] = [
    Question {
        name: "a trace by its id, by the view's hint",
        sql: "WITH (SELECT (min(Start), max(End) + 1) FROM otel_traces_trace_id_ts WHERE TraceId = '{trace}') AS found
              SELECT * FROM otel_traces WHERE TraceId = '{trace}' AND Timestamp >= found.1 AND Timestamp <= found.2",
        tenant: false,
    },
    Question {
        name: "a trace by its id alone",
        sql: "SELECT * FROM otel_traces WHERE TraceId = '{trace}'",
        tenant: false,
    },
    Question {
        name: "the slowest of a service in the last hour",
        sql: "SELECT TraceId, SpanName, Duration FROM otel_traces
              WHERE {tenant} AND ServiceName = 'service-7' AND {hour} AND Duration > 50000000
              ORDER BY Duration DESC LIMIT 50",
        tenant: true,
    },
    Question {
        name: "those of a service with an attribute in the last hour",
        sql: "SELECT TraceId, SpanName, Timestamp FROM otel_traces
              WHERE {tenant} AND ServiceName = 'service-7' AND {hour} AND SpanAttributes['feature.flag'] = 'flag-13'
              ORDER BY Timestamp DESC LIMIT 50",
        tenant: true,
    },
    Question {
        name: "a tenant's error rate by minute, the last hour",
        sql: "SELECT toStartOfMinute(Timestamp) AS minute, countIf(StatusCode = 'Error') / count() FROM otel_traces
              WHERE {tenant} AND {hour} GROUP BY minute ORDER BY minute",
        tenant: true,
    },
];

/// What a question takes of a table.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// Milliseconds, of each time.
    pub ms: Vec<f64>,
    pub read_rows: u64,
    pub read_bytes: u64,
}

/// A question to both.
#[derive(Debug, Serialize)]
pub struct Answers {
    pub question: &'static str,
    pub shipped: Answer,
    pub stock: Answer,
}

/// Fills both tables, and asks them in turns.
pub async fn measure(server: &mut Server, plan: &Plan) -> Result<Vec<Answers>> {
    if plan.question_rows == 0 {
        return Ok(Vec::new());
    }
    for variant in [SHIPPED_TABLE, STOCK_TABLE] {
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
    let mut answers = Vec::new();
    for question in QUESTIONS {
        let sql = |variant: &Variant| {
            let tenant = if variant.own_columns { "TenantId = 'tenant-1'" } else { "1" };
            question.sql.replace("{tenant}", tenant).replace("{hour}", &hour).replace("{trace}", trace.trim())
        };
        let mut of_both = Vec::new();
        for variant in [SHIPPED_TABLE, STOCK_TABLE] {
            let (text, summary) = server.ask(variant.database, &sql(&variant)).await?;
            ensure!(question.tenant || !text.is_empty(), "{}: no answer", question.name);
            of_both.push(Answer {
                ms: Vec::new(),
                read_rows: summary.read_rows,
                read_bytes: summary.read_bytes,
            });
        }
        for _ in 0..plan.times {
            for (variant, answer) in [SHIPPED_TABLE, STOCK_TABLE].iter().zip(&mut of_both) {
                let began = Instant::now();
                server.ask(variant.database, &sql(variant)).await?;
                answer.ms.push(began.elapsed().as_secs_f64() * 1000.0);
            }
        }
        let stock = of_both.pop().context("two were asked")?;
        let shipped = of_both.pop().context("two were asked")?;
        answers.push(Answers { question: question.name, shipped, stock });
    }
    Ok(answers)
}
