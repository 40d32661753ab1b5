//! What it costs the server to take rows into a table, and to merge them.

use anyhow::{Result, ensure};
use serde::Serialize;
use spillway_bench::variants::{ALL, SHIPPED_TABLE, STOCK_TABLE, Variant};

use crate::Plan;
use crate::engine::Server;
use crate::spans;

/// What a table costs, once for each round.
#[derive(Debug, Serialize)]
pub struct Cost {
    pub name: &'static str,
    /// CPU seconds for a million rows to be inserted, without what reading them costs.
    pub insert: Vec<f64>,
    /// CPU seconds for a million rows when the parts of all inserts are merged into one.
    pub merge: Vec<f64>,
    /// Bytes on the disk for a row, merged.
    pub bytes: Vec<f64>,
}

impl Cost {
    fn of(name: &'static str) -> Self {
        Self { name, insert: Vec::new(), merge: Vec::new(), bytes: Vec::new() }
    }

    /// Both, by rounds.
    pub fn both(&self) -> Vec<f64> {
        self.insert.iter().zip(&self.merge).map(|(insert, merge)| insert + merge).collect()
    }
}

/// Measures all of them, in turns.
pub async fn measure(server: &mut Server, plan: &Plan) -> Result<Vec<Cost>> {
    for variant in [SHIPPED_TABLE, STOCK_TABLE] {
        eprintln!("bench-schema: {} rows, sorted by {}", plan.rows, variant.key.columns());
        spans::make(server, &variant, plan.rows, plan.batch).await?;
    }
    let mut costs: Vec<Cost> = ALL.iter().map(|variant| Cost::of(variant.name)).collect();
    for round in 1..=plan.rounds {
        for (variant, cost) in ALL.iter().zip(&mut costs) {
            eprintln!("bench-schema: round {round}, {}", variant.name);
            create(server, variant).await?;
            leave_merging_to_us(server, variant).await?;
            let reading = read(server, variant, plan).await?;
            let began = server.cpu_seconds()?;
            let batches = plan.rows.div_ceil(plan.batch);
            insert(server, variant, batches).await?;
            let inserted = server.cpu_seconds()?;
            let parts = parts(server, variant).await?;
            ensure!(parts == batches, "{}: {batches} batches are {parts} parts", variant.name);
            merge(server, variant).await?;
            let merged = server.cpu_seconds()?;
            let a_million = |seconds: f64| seconds * 1e6 / plan.rows as f64;
            cost.insert.push(a_million(inserted - began - reading));
            cost.merge.push(a_million(merged - inserted));
            cost.bytes.push(on_disk(server, variant).await? as f64 / plan.rows as f64);
            drop_all(server, variant).await?;
        }
    }
    spans::remove(server).await?;
    Ok(costs)
}

/// Makes the variant's tables, empty.
pub async fn create(server: &Server, variant: &Variant) -> Result<()> {
    drop_all(server, variant).await?;
    server.ask("system", &format!("CREATE DATABASE {} ENGINE = Atomic", variant.database)).await?;
    for statement in variant.statements() {
        server.ask(variant.database, &statement).await?;
    }
    Ok(())
}

/// Brings the rows in, batch by batch, and waits for the merges.
pub async fn fill(server: &Server, variant: &Variant, batches: u64) -> Result<()> {
    insert(server, variant, batches).await?;
    server.settle(variant.database).await
}

async fn insert(server: &Server, variant: &Variant, batches: u64) -> Result<()> {
    let columns = spans::columns(variant);
    for number in 0..batches {
        let rows = spans::batch(variant, number);
        server.ask(variant.database, &format!("INSERT INTO otel_traces ({columns}) {rows}")).await?;
    }
    Ok(())
}

/// Left to itself, the server merges what it likes when it likes, which decides more than the tables do.
async fn leave_merging_to_us(server: &Server, variant: &Variant) -> Result<()> {
    let settings = "max_bytes_to_merge_at_max_space_in_pool = 1, max_bytes_to_merge_at_min_space_in_pool = 1";
    for table in tables(server, variant).await? {
        server.ask(variant.database, &format!("ALTER TABLE {table} MODIFY SETTING {settings}")).await?;
    }
    Ok(())
}

/// Merges each of the variant's tables into one part.
async fn merge(server: &Server, variant: &Variant) -> Result<()> {
    for table in tables(server, variant).await? {
        server.ask(variant.database, &format!("OPTIMIZE TABLE {table} FINAL")).await?;
    }
    let parts = parts(server, variant).await?;
    ensure!(parts == 1, "{}: {parts} parts are left", variant.name);
    Ok(())
}

async fn tables(server: &Server, variant: &Variant) -> Result<Vec<String>> {
    let database = variant.database;
    let sql = format!("SELECT name FROM tables WHERE database = '{database}' AND engine LIKE '%MergeTree'");
    Ok(server.ask("system", &sql).await?.0.lines().map(str::to_owned).collect())
}

/// Parts of the table of spans.
async fn parts(server: &Server, variant: &Variant) -> Result<u64> {
    let database = variant.database;
    let of_spans = format!("database = '{database}' AND table = 'otel_traces'");
    server.number(&format!("SELECT count() FROM parts WHERE active AND {of_spans}")).await
}

async fn drop_all(server: &Server, variant: &Variant) -> Result<()> {
    server.ask("system", &format!("DROP DATABASE IF EXISTS {} SYNC", variant.database)).await.map(drop)
}

/// What the server uses to read the rows, and to throw them away.
async fn read(server: &mut Server, variant: &Variant, plan: &Plan) -> Result<f64> {
    let before = server.cpu_seconds()?;
    for number in 0..plan.rows.div_ceil(plan.batch) {
        let rows = spans::batch(variant, number);
        server.ask(variant.database, &format!("{rows} FORMAT Null")).await?;
    }
    Ok(server.cpu_seconds()? - before)
}

async fn on_disk(server: &Server, variant: &Variant) -> Result<u64> {
    let database = variant.database;
    server
        .number(&format!("SELECT sum(bytes_on_disk) FROM parts WHERE active AND database = '{database}'"))
        .await
}
