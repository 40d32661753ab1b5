//! A stack for one test: free ports, a folder of its own, nothing left behind.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use local_stack::edge::NotificationQueue;
use local_stack::engine::Source;
use local_stack::keys::Key;
use local_stack::stack::{OPERATOR, Stack, StackOptions};
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};
use spillway_proto::object_key::ROOT;
use tempfile::TempDir;
use ulid::Ulid;

use crate::bucket::Bucket;
use crate::command::{CommandOutput, origin_consumer};

/// The time that a span may take to ClickHouse in a test, on a machine that is busy with others.
pub const ARRIVAL: Duration = Duration::from_secs(30);

/// A running stack and the keys that its edge knows.
pub struct TestStack {
    stack: Stack,
    keys: Vec<Key>,
    // Dropped last, after the processes that write there.
    _folder: TempDir,
}

/// How a test's stack differs from the usual one.
#[derive(Default)]
pub struct Setup<'a> {
    /// Arguments of `origin-consumer serve`.
    pub origin_arguments: Vec<&'static str>,
    /// Variables in the environment of ClickHouse, where it is started here.
    pub engine_vars: BTreeMap<String, String>,
    /// Variables of the Worker.
    pub edge_vars: Vec<(&'a str, &'a str)>,
    /// Variables of the origin.
    pub origin_vars: Vec<(&'a str, &'a str)>,
    /// Whether Spillway's own spans are stored as well.
    pub own_spans: bool,
    /// Where the messages of the Worker's queue go.
    pub notification_queue: Option<NotificationQueue>,
    /// Service bindings of the Worker, and the URLs of what stands behind them.
    pub edge_services: Vec<(&'a str, &'a str)>,
    /// Where a simulator of the zone takes what the Worker fetches.
    pub edge_outbound: Option<String>,
}

impl TestStack {
    /// The usual stack.
    pub async fn start() -> Result<Self> {
        Self::start_with(Setup::default()).await
    }

    /// A stack that differs.
    pub async fn start_with(setup: Setup<'_>) -> Result<Self> {
        let folder = TempDir::with_prefix("spillway-test-")?;
        let source = Source::from_environment();
        let keys = keys()?;
        // So that no test waits for what comes with others; those that ask for it are told otherwise.
        let mut origin_vars = vec![("SPILLWAY_CONSUMER__BATCH_DELAY_MS", "50")];
        origin_vars.extend(setup.origin_vars);
        let owned = |vars: Vec<(&str, &str)>| {
            vars.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let options = StackOptions {
            folder: folder.path().to_owned(),
            source,
            database: format!("spillway_test_{}", Ulid::generate().to_string().to_lowercase()),
            keys: keys.clone(),
            operator_key: if setup.own_spans { Some(Key::new(OPERATOR, &json!({}))?) } else { None },
            edge_port: None,
            notification_queue: setup.notification_queue,
            edge_services: owned(setup.edge_services),
            edge_outbound: setup.edge_outbound,
            engine_vars: setup.engine_vars,
            edge_vars: owned(setup.edge_vars),
            origin_vars: owned(origin_vars),
            origin_arguments: setup.origin_arguments,
            verbose: false,
        };
        Ok(Self { stack: Stack::start(options).await?, keys, _folder: folder })
    }

    /// The secret of the key of `tenant`; the tenants are those of `keys` below.
    pub fn key(&self, tenant: &str) -> Result<&str> {
        let key = self.keys.iter().find(|key| key.record.tenant.as_str() == tenant);
        key.map(|key| key.secret.expose()).with_context(|| format!("no key of {tenant}"))
    }

    /// Runs `origin-consumer` with the arguments, which spaces separate, configured as the stack's origin is.
    pub async fn origin_consumer(&self, arguments: &str) -> Result<CommandOutput> {
        origin_consumer(arguments, self.stack.origin_variables()).await
    }

    /// Waits until the trace has `spans` spans.
    pub async fn await_trace(&self, trace_id: &str, spans: u64) -> Result<()> {
        self.await_count(&trace_count(trace_id), spans, ARRIVAL).await
    }

    /// Waits until the ledger knows of each object of the bucket, and all of them have ended: those that waited for others too.
    pub async fn await_settled(&self) -> Result<()> {
        let (bucket, deadline) = (Bucket::of(&self.stack), Instant::now() + ARRIVAL);
        loop {
            let objects =
                bucket.keys().await?.into_iter().filter(|key| key.starts_with(ROOT)).collect::<Vec<_>>();
            let ledger = Connection::open(self.folder().join("queue.sqlite"))?;
            let mut state = ledger.prepare("SELECT state FROM objects WHERE object_key = ?1")?;
            let mut unsettled = Vec::new();
            for key in &objects {
                let state = state.query_row([key], |row| row.get::<_, String>(0)).optional()?;
                let state = state.unwrap_or_else(|| "unknown".to_owned());
                if matches!(state.as_str(), "unknown" | "pending" | "batched" | "held") {
                    unsettled.push(format!("{key} is {state}"));
                }
            }
            if unsettled.is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "after {ARRIVAL:?}, {unsettled:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The spans of the trace that are stored now.
    pub async fn count(&self, trace_id: &str) -> Result<u64> {
        Ok(self.clickhouse().query_raw(&trace_count(trace_id)).fetch_one().await?)
    }

    /// The rows of the trace, as ClickHouse writes them in JSON.
    pub async fn rows_of_trace(&self, trace_id: &str) -> Result<Vec<Value>> {
        self.rows(&format!("TraceId = '{trace_id}'")).await
    }

    /// The rows for which `condition` holds, in the order of their objects.
    pub async fn rows(&self, condition: &str) -> Result<Vec<Value>> {
        self.rows_of("otel_traces", condition).await
    }

    /// The same of another table of spans.
    pub async fn rows_of(&self, table: &str, condition: &str) -> Result<Vec<Value>> {
        let query = format!("SELECT * FROM {table} WHERE {condition} ORDER BY ObjectKey, RowNo");
        let query =
            self.clickhouse().query_raw(&query).with_setting("output_format_json_quote_64bit_integers", "1");
        let text = query.fetch_bytes("JSONEachRow")?.collect().await?;
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines.map(serde_json::from_slice).collect::<Result<_, _>>()?)
    }

    /// Ends all parts; an error if one of them does not end well.
    pub async fn stop_now(mut self) -> Result<()> {
        self.stack.stop().await
    }
}

fn trace_count(trace_id: &str) -> String {
    format!("SELECT count() FROM otel_traces WHERE TraceId = '{trace_id}'")
}

/// One key a tenant: `acme` and its `neighbour` may do much, `slow` one request a second, `small` and `spread` (over four
/// Durable Objects) ten spans a month, `gone` nothing, `pages` is for the pages of `https://app.example`, and `shop` has a
/// project.
fn keys() -> Result<Vec<Key>> {
    let much = json!({ "limits": { "requests": { "per_second": 10_000 } } });
    Ok(vec![
        Key::new("acme", &much)?,
        Key::new("neighbour", &much)?,
        Key::new("slow", &json!({ "limits": { "requests": { "per_second": 1, "burst": 1 } } }))?,
        Key::new("small", &json!({ "quotas": { "spans_per_month": 10 } }))?,
        Key::new("spread", &json!({ "limits": { "shards": 4 }, "quotas": { "spans_per_month": 10 } }))?,
        Key::new("gone", &json!({ "status": "revoked" }))?,
        Key::new("pages", &json!({ "allowed_origins": ["https://app.example"] }))?,
        Key::new("shop", &json!({ "project": "checkout", "limits": much["limits"] }))?,
    ])
}

impl Deref for TestStack {
    type Target = Stack;

    fn deref(&self) -> &Stack {
        &self.stack
    }
}

impl DerefMut for TestStack {
    fn deref_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }
}

impl Drop for TestStack {
    fn drop(&mut self) {
        if self.stack.engine.is_ours() {
            return;
        }
        // A test has a runtime of its own, which must not be waited in; so this waits in another thread.
        let stack = &self.stack;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                if let Ok(Err(error)) = runtime.map(|runtime| runtime.block_on(stack.drop_database())) {
                    eprintln!("{error:#}");
                }
            });
        });
    }
}
