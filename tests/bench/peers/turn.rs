//! One contender's turn.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use serde::Serialize;
use spillway_bench::consumers::Consumers;
use spillway_bench::ledgers::Ledgers;
use spillway_bench::rig::Rig;
use spillway_bench::send::{Target, send_all};
use spillway_bench::{cpu, workload};
use spillway_generator::objects::Object;
use spillway_generator::order::Order;

use crate::peer::{self, Contender, Running};
use crate::report::Plan;
use crate::rows::{self, Rows};
use crate::tables::{self, Kind};

/// Seldom, since looks are the server's work.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How long a peer may take to store what it has taken, from the last row on.
const STORED_WITHIN: Duration = Duration::from_secs(60);
/// What a peer does after its last row is stored is its work, too.
const AFTERWARDS: Duration = Duration::from_millis(300);

/// What is brought.
pub struct Load {
    /// The order of their fields.
    pub order: Order,
    /// Those that lie in the bucket.
    pub objects: Vec<Object>,
    /// The requests that they are of.
    pub bodies: Vec<Bytes>,
}

impl Load {
    /// How many bytes of requests, uncompressed, so many spans are on average.
    fn bytes_of(&self, spans: usize) -> usize {
        let bytes: usize = self.objects.iter().map(|object| object.payload.len()).sum();
        bytes * spans / workload::spans(&self.objects) as usize
    }
}

/// What a turn took.
#[derive(Debug, Serialize)]
pub struct Used {
    /// CPU seconds a million spans.
    pub client: f64,
    /// CPU seconds a million spans, merges included.
    pub clickhouse: f64,
    /// Until the last row was there.
    pub spans_per_second: f64,
    /// How often a request was put off.
    pub put_off: u32,
    /// What is in the table, where one keeps something; else how many rows a peer has inserted.
    pub rows: Option<Rows>,
}

/// Takes it: what was stored stays until [`clear`].
pub async fn take(
    contender: &Contender,
    kind: Kind,
    load: &Load,
    plan: &Plan,
    ledgers: &mut Ledgers,
    rig: &mut Rig,
) -> Result<Used> {
    let table = tables::make(rig, contender, kind).await?;
    let before = rig.engine_cpu()?;
    let brought = match contender {
        Contender::Spillway | Contender::SpillwayIntoStock => {
            let ledger = ledgers.next(&load.objects).await?;
            let took = Consumers::default().bring(&ledger, rig, (&contender.database(), table)).await?;
            Brought { client: took.cpu, wall: took.wall, put_off: 0, rows: None }
        }
        Contender::Peer { peer, program, batch } => {
            let database = contender.database();
            let into = (rig.clickhouse_url(), database.as_str());
            let running =
                peer::start(*peer, program, into, (*batch, load.bytes_of(*batch)), rig.folder()).await?;
            by_peer(running, &database, kind, load, plan, rig).await?
        }
    };
    if kind == Kind::MergeTree {
        rig.drain_merges().await?;
        // What the server merges later on would be in others' turns.
        tables::merge_no_more(rig, contender).await?;
    }
    let clickhouse = rig.engine_cpu()? - before;
    let spans = workload::spans(&load.objects);
    let rows = match kind {
        Kind::Null => brought.rows.map(|rows| Rows { rows, spillway_rows: spans, different: Vec::new() }),
        Kind::MergeTree => Some(rows::compare(rig, contender, spans).await?),
    };
    let spans = spans as f64;
    Ok(Used {
        client: brought.client.as_secs_f64() * 1e6 / spans,
        clickhouse: clickhouse.as_secs_f64() * 1e6 / spans,
        spans_per_second: spans / brought.wall.as_secs_f64(),
        put_off: brought.put_off,
        rows,
    })
}

/// Drops what all have stored.
pub async fn clear(contenders: &[Contender], kind: Kind, rig: &Rig) -> Result<()> {
    for contender in contenders.iter().filter(|contender| contender.takes_part(kind)) {
        tables::drop_all(rig, contender).await?;
    }
    Ok(())
}

struct Brought {
    client: Duration,
    wall: Duration,
    put_off: u32,
    /// How many rows came, where that had to be awaited.
    rows: Option<u64>,
}

async fn by_peer(
    mut running: Running,
    database: &str,
    kind: Kind,
    load: &Load,
    plan: &Plan,
    rig: &Rig,
) -> Result<Brought> {
    let (before, began) = (cpu::of_group(running.process.id())?, Instant::now());
    let inserted_before = rig.rows_inserted().await?;
    let target = Target {
        url: running.url.clone(),
        key: None,
        gzip: plan.gzip,
        connections: plan.connections,
        per_second: None,
    };
    let sent = send_all(&local_stack::http::client(), &target, &load.bodies).await?;
    let spans = workload::spans(&load.objects);
    let stored = async || match kind {
        Kind::Null => Ok(rig.rows_inserted().await? - inserted_before),
        Kind::MergeTree => rig.number(database, "SELECT count() FROM otel_traces").await,
    };
    let (rows, wall) = await_rows(spans, stored, &mut running, began).await?;
    tokio::time::sleep(AFTERWARDS).await;
    let client = cpu::of_group(running.process.id())? - before;
    running.process.stop().await?;
    Ok(Brought { client, wall, put_off: sent.put_off, rows: Some(rows) })
}

/// How many rows there are, and how long it took until they were as many as there are spans, or no more came.
async fn await_rows(
    spans: u64,
    stored: impl AsyncFn() -> Result<u64>,
    running: &mut Running,
    began: Instant,
) -> Result<(u64, Duration)> {
    let (mut rows, mut last) = (0, Instant::now());
    loop {
        let now = stored().await?;
        if now >= spans {
            return Ok((now, began.elapsed()));
        }
        if now != rows {
            (rows, last) = (now, Instant::now());
        }
        if let Some(status) = running.process.ended()? {
            bail!("{}", running.process.obituary(status));
        }
        if last.elapsed() > STORED_WITHIN {
            ensure!(rows > 0, "nothing was stored within {STORED_WITHIN:?}");
            return Ok((rows, last - began));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
