//! How the cost of a span, and how many are stored in a second, change with threads, processes, the size of objects and that of
//! the table. Each figure is of `origin-consumer consume` itself, in processes of its own.

mod report;

use std::fmt;

use anyhow::{Context, Result, ensure};
use local_stack::postgres::Postgres;
use spillway_bench::consumers::Consumers;
use spillway_bench::ledgers::{Ledger, Ledgers};
use spillway_bench::machine::Machine;
use spillway_bench::rig::Rig;
use spillway_bench::server_rows::{self, COLUMNS, OWN_COLUMNS};
use spillway_bench::workload::{self, Shape};
use spillway_generator::objects::Object;
use spillway_generator::order::Order;

pub use self::report::Report;

const DATABASE: &str = "scaling";
const POSTGRESQL: &str = "PostgreSQL";
/// Spans of an object.
const OBJECT_SPANS: [usize; 6] = [1, 10, 100, 1_000, 10_000, 100_000];
/// The most objects of a turn: small ones cost as much at any number.
const MOST_OBJECTS: usize = 5_000;
/// Rows of one statement that fills a table.
const STEP: u64 = 1_000_000;

/// How much is measured.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Plan {
    pub short: bool,
    pub rounds: usize,
    pub spans: usize,
    pub shape: Shape,
    pub order: Order,
    /// The sizes of tables.
    pub table_rows: Vec<u64>,
}

/// What is varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    Threads,
    Processes,
    ObjectSpans,
    TableRows,
}

impl Aspect {
    /// All, in the order in which they are measured.
    pub const ALL: [Self; 4] = [Self::Threads, Self::Processes, Self::ObjectSpans, Self::TableRows];
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Threads => "threads, and batches side by side",
            Self::Processes => "processes on one ledger, of one thread and one batch at a time",
            Self::ObjectSpans => "spans of an object",
            Self::TableRows => "rows that the table holds before",
        })
    }
}

/// What a turn took.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Used {
    pub spans_per_second: f64,
    /// CPU seconds a million spans.
    pub client: f64,
    /// CPU seconds a million spans, merges included.
    pub clickhouse: f64,
}

/// Measures all, in rounds.
pub async fn measure(plan: &Plan, machine: Machine) -> Result<Report> {
    let mut rig = Rig::start(true).await?;
    let postgres = Postgres::start(&rig.folder().join("ledgers")).await?;
    let mut report = Report::new(plan.clone(), machine, rig.version().await?);
    // Of a round: for threads, for two processes, for objects, for tables; and one before all of them.
    let files = 1 + plan.rounds * (2 + 1 + OBJECT_SPANS.len() + plan.table_rows.len());
    let mut in_files = Ledgers::make(rig.ledger_urls(files)).await?;
    let mut urls = Vec::new();
    for number in 0..plan.rounds * 2 {
        urls.push(postgres.create_database(&format!("ledger-{number}")).await?);
    }
    let mut in_postgres = Ledgers::make(urls).await?;
    let objects = put(workload::make(plan.shape, plan.order, plan.spans)?, &rig).await?;
    eprintln!("bench-consumer: warming up");
    into_new_table(&one_at_a_time(1), &objects, &in_files.next(&objects).await?, &mut rig).await?;
    for round in 1..=plan.rounds {
        let say = |what: String| eprintln!("bench-consumer: round {round} of {}, {what}", plan.rounds);
        for count in [1, 2] {
            say(format!("{count} threads"));
            let consumers = Consumers { threads: Some(count), workers: Some(count), processes: 1 };
            let ledger = in_files.next(&objects).await?;
            let used = into_new_table(&consumers, &objects, &ledger, &mut rig).await?;
            report.add(Aspect::Threads, count.to_string(), used);
            if count == 1 {
                report.add(Aspect::Processes, "1, SQLite".to_owned(), used);
            }
        }
        for (count, store) in [(2, "SQLite"), (1, POSTGRESQL), (2, POSTGRESQL)] {
            say(format!("{count} processes, {store}"));
            let ledgers = if store == POSTGRESQL { &mut in_postgres } else { &mut in_files };
            let ledger = ledgers.next(&objects).await?;
            let used = into_new_table(&one_at_a_time(count), &objects, &ledger, &mut rig).await?;
            report.add(Aspect::Processes, format!("{count}, {store}"), used);
        }
        for each in OBJECT_SPANS.into_iter().filter(|each| *each <= plan.spans) {
            say(format!("{each} spans an object"));
            let spans = plan.spans.min(each * MOST_OBJECTS);
            let objects = workload::make_equal(plan.shape, plan.order, spans, each)?;
            let objects = put(objects, &rig).await?;
            let ledger = in_files.next(&objects).await?;
            let used = into_new_table(&Consumers::default(), &objects, &ledger, &mut rig).await?;
            report.add(Aspect::ObjectSpans, each.to_string(), used);
        }
        for &rows in &plan.table_rows {
            say(format!("a table of {rows} rows"));
            rig.make_database(DATABASE).await?;
            fill(rows, &rig).await?;
            let ledger = in_files.next(&objects).await?;
            let used = bring(&Consumers::default(), &objects, &ledger, &mut rig).await?;
            rig.drop_database(DATABASE).await?;
            report.add(Aspect::TableRows, rows.to_string(), used);
        }
    }
    Ok(report)
}

/// Processes of one thread that runs tasks, and one batch at a time.
fn one_at_a_time(processes: usize) -> Consumers {
    Consumers { processes, threads: Some(1), workers: Some(1) }
}

async fn put(objects: Vec<Object>, rig: &Rig) -> Result<Vec<Object>> {
    workload::put(&objects, rig.bucket.as_ref().context("no bucket")?).await?;
    Ok(objects)
}

async fn into_new_table(
    consumers: &Consumers,
    objects: &[Object],
    ledger: &Ledger,
    rig: &mut Rig,
) -> Result<Used> {
    rig.make_database(DATABASE).await?;
    let used = bring(consumers, objects, ledger, rig).await?;
    rig.drop_database(DATABASE).await?;
    Ok(used)
}

async fn bring(consumers: &Consumers, objects: &[Object], ledger: &Ledger, rig: &mut Rig) -> Result<Used> {
    let count = "SELECT count() FROM otel_traces";
    let (before, spans) = (rig.number(DATABASE, count).await?, workload::spans(objects));
    let engine_before = rig.engine_cpu()?;
    let took = consumers.bring(ledger, rig, (DATABASE, "otel_traces")).await?;
    rig.drain_merges().await?;
    let clickhouse = rig.engine_cpu()? - engine_before;
    let stored = rig.number(DATABASE, count).await? - before;
    ensure!(stored == spans, "{stored} of {spans} spans are stored");
    let a_million = 1e6 / spans as f64;
    Ok(Used {
        spans_per_second: spans as f64 / took.wall.as_secs_f64(),
        client: took.cpu.as_secs_f64() * a_million,
        clickhouse: clickhouse.as_secs_f64() * a_million,
    })
}

/// Fills the table with rows of today, which is where those of the turn go, and waits until they are merged.
async fn fill(rows: u64, rig: &Rig) -> Result<()> {
    let day: String = rig.client().query_raw("SELECT toString(today())").fetch_one().await?;
    for from in (0..rows).step_by(usize::try_from(STEP)?) {
        let made = server_rows::rows(from..rows.min(from + STEP), rows, STEP, &day);
        let columns = format!("{COLUMNS}, {OWN_COLUMNS}");
        let sql = format!("INSERT INTO otel_traces ({columns}) SELECT {columns} FROM ({made})");
        rig.execute_in(DATABASE, &sql).await?;
    }
    rig.drain_merges().await
}
