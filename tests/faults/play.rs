//! How a cell is played.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use spillway_tests::faults::{On, S3Fault, S3Operation, TcpFault};

use crate::cells::{Cell, Dose, End, Link, Means, Scene};
use crate::rig::Rig;

const TRACES: usize = 12;
const SPANS: usize = 3;
const OK: &str = "ok";

/// What came of a cell.
#[derive(Debug)]
pub struct Row {
    pub step: &'static str,
    pub fault: &'static str,
    pub outcome: String,
    /// From the first export until the last span was acknowledged.
    pub seconds: f64,
    pub seen: String,
}

impl Row {
    pub fn is_ok(&self) -> bool {
        self.outcome == OK
    }
}

/// Plays it: every span is stored once, and acknowledged, when the fault is over.
pub async fn play(rig: &mut Rig, cell: &Cell) -> Row {
    let began = Instant::now();
    let mut seen = Seen::default();
    let played = act(rig, cell, &mut seen).await;
    rig.pass();
    let outcome = match played {
        Ok(()) => OK.to_owned(),
        Err(error) => format!("{error:#}"),
    };
    let seconds = began.elapsed().as_secs_f64();
    Row { step: cell.step, fault: cell.fault, outcome, seconds, seen: seen.to_string() }
}

async fn act(rig: &mut Rig, cell: &Cell, seen: &mut Seen) -> Result<()> {
    let engine_ends = rig.engine_ends;
    rig.revive_engine().await?;
    let mut before = Counts::of(&rig.metrics().await?);
    prepare(rig, cell, seen, &mut before).await?;
    match &cell.means {
        Means::Wire { link, mark, fault, dose } => {
            on_the_wire(rig, cell, (*link, mark, *fault), *dose).await?
        }
        Means::Bucket { operation, fault, dose } => {
            in_the_bucket(rig, cell, (*operation, fault), *dose).await?
        }
        Means::Failpoint { place, end } => {
            before = Counts::default();
            in_the_process(rig, cell, place, *end, seen).await?;
        }
        Means::Locked(time) => {
            let locked = rig.sqlite()?;
            locked.execute_batch("BEGIN IMMEDIATE")?;
            let (exported, ()) = tokio::join!(rig.export(TRACES, SPANS), async {
                tokio::time::sleep(*time).await;
                drop(locked);
            });
            exported?;
        }
    }
    rig.wire(Link::Notifications)?.pass();
    finish(rig, cell).await?;
    let counts = Counts::of(&rig.metrics().await?);
    ensure!(counts.dead <= before.dead + u64::from(cell.scene == Scene::DeadLetter), "an object is dead");
    seen.add(&before, &counts);
    seen.engine_ends = rig.engine_ends - engine_ends;
    Ok(())
}

/// What the scene wants before the fault.
async fn prepare(rig: &mut Rig, cell: &Cell, seen: &mut Seen, before: &mut Counts) -> Result<()> {
    if matches!(cell.means, Means::Failpoint { place, .. } if place.starts_with("queue::enqueue")) {
        // An edge that has met failures would not notify for a while.
        rig.stack.restart_edge().await?;
    }
    match cell.scene {
        Scene::Usual | Scene::Audited => {}
        Scene::Unnotified => rig.wire(Link::Notifications)?.always(TcpFault::Refuse),
        Scene::SecondTry => {
            rig.restart("consume::inserted=1*return(abort)").await?;
            rig.export(TRACES, SPANS).await?;
            rig.await_end().await?;
            seen.restarts += 1;
            *before = Counts::default();
        }
        Scene::DeadLetter => {
            rig.s3.set(On::every(S3Operation::GetObject), S3Fault::WrongBytes);
            rig.export(1, SPANS).await?;
        }
    }
    Ok(())
}

async fn on_the_wire(
    rig: &mut Rig,
    cell: &Cell,
    (link, mark, fault): (Link, &'static str, TcpFault),
    dose: Dose,
) -> Result<()> {
    let wire = rig.wire(link)?;
    let happened = wire.counts().faults;
    match dose {
        Dose::Times(times) => wire.next_on(mark, times, fault),
        Dose::For(_) => wire.always_on(mark, fault),
    }
    if link == Link::ClickHouse && mark.is_empty() {
        // So that there is a connection to be made.
        wire.cut();
    }
    if cell.scene == Scene::SecondTry {
        rig.restart("").await?;
    } else {
        rig.export(TRACES, SPANS).await?;
    }
    rig.wire(link)?.await_faults(happened + 1).await.context("the fault")?;
    if let Dose::For(time) = dose {
        tokio::time::sleep(time).await;
        rig.wire(link)?.pass();
    }
    Ok(())
}

async fn in_the_bucket(
    rig: &mut Rig,
    cell: &Cell,
    (operation, fault): (S3Operation, &S3Fault),
    dose: Dose,
) -> Result<()> {
    let happened = rig.s3.faults(operation);
    let on = On::every(operation);
    let on = match dose {
        Dose::Times(times) => on.times(times),
        Dose::For(_) => on,
    };
    rig.s3.set(on, fault.clone());
    if cell.scene != Scene::DeadLetter {
        rig.export(TRACES, SPANS).await?;
    }
    rig.s3.await_faults(operation, happened + 1).await.context("the fault")?;
    if let Dose::For(time) = dose {
        tokio::time::sleep(time).await;
        rig.s3.pass();
    }
    Ok(())
}

async fn in_the_process(rig: &mut Rig, cell: &Cell, place: &str, end: End, seen: &mut Seen) -> Result<()> {
    let panics = rig.panics()?;
    match end {
        End::Killed => rig.restart(&format!("{place}=1*return(abort)")).await?,
        End::Panic => rig.restart(&format!("{place}=1*panic")).await?,
    }
    if cell.scene != Scene::DeadLetter {
        rig.export(TRACES, SPANS).await?;
    }
    match end {
        End::Killed => {
            rig.await_end().await?;
            rig.restart("").await?;
            seen.restarts += 1;
        }
        End::Panic => rig.await_panics(panics + 1).await?,
    }
    Ok(())
}

/// Waits until everything is as it has to be.
async fn finish(rig: &mut Rig, cell: &Cell) -> Result<()> {
    if cell.scene == Scene::DeadLetter {
        rig.await_none("state = 'dead' AND copied = 0").await?;
        rig.s3.pass();
        rig.give_up(SPANS as u64);
    }
    rig.await_each_span_once().await?;
    rig.await_none("state IN ('pending', 'batched')").await?;
    if cell.scene == Scene::Audited {
        rig.await_none("state IN ('pending', 'batched', 'stored')").await?;
        rig.await_each_span_once().await?;
    }
    Ok(())
}

/// What the origin has counted.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    failed: u64,
    set_back: u64,
    split: u64,
    lease_lost: u64,
    swept: u64,
    short: u64,
    dead: u64,
}

impl Counts {
    fn of(metrics: &str) -> Self {
        let value = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
        };
        let batches = |outcome: &str| value(&format!("spillway_batches_total{{outcome=\"{outcome}\"}}"));
        Self {
            failed: batches("Failed"),
            set_back: batches("SetBack"),
            split: batches("Split"),
            lease_lost: batches("LeaseLost"),
            swept: value("spillway_objects_swept_total"),
            short: value("spillway_objects_audited_total{finding=\"short\"}"),
            dead: value("spillway_objects_dead_total"),
        }
    }
}

/// What was seen of a cell, for the table.
#[derive(Debug, Default)]
struct Seen {
    restarts: u64,
    engine_ends: u64,
    told: Vec<String>,
}

impl Seen {
    fn add(&mut self, before: &Counts, after: &Counts) {
        let counts = [
            (before.failed, after.failed, "tries of a batch failed"),
            (before.set_back, after.set_back, "batches with objects taken out"),
            (before.split, after.split, "batches split"),
            (before.lease_lost, after.lease_lost, "leases lost"),
            (before.swept, after.swept, "objects swept"),
            (before.short, after.short, "objects short in the audit"),
            (before.dead, after.dead, "dead"),
        ];
        let counts = counts.iter().filter(|(before, after, _)| after > before);
        self.told.extend(counts.map(|(before, after, what)| format!("{} {what}", after - before)));
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut told = self.told.clone();
        if self.restarts > 0 {
            told.insert(0, format!("{} restart", self.restarts));
        }
        if self.engine_ends > 0 {
            told.push("the engine ended by itself".to_owned());
        }
        if told.is_empty() { to.write_str("-") } else { to.write_str(&told.join(", ")) }
    }
}
