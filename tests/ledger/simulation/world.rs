//! All there is in a simulation, and what happens to it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::OnceLock;

use anyhow::{Result, ensure};
use origin_consumer::insert::BatchRows;
use origin_consumer::queue::{Batch, Fault, Finding, Queue, Setback};
use spillway_decode::rows::{SpanRow, rows_of};
use spillway_proto::notification::Notification;
use spillway_proto::otlp::DecompressLimits;
use spillway_proto::{ObjectKey, UnixMillis};
use spillway_tests::export::Export;
use spillway_tests::notification::stored;
use ulid::Ulid;

use super::chance::Chance;
use super::clickhouse::{Lease, Server, Tokens};
use super::consumer::{Verification, audit, consume, replay};
use super::sweeper::{notify, sweep};
use super::tasks::{Steps, Task};
use crate::objects::{LEASE, LIMITS, NOW, at, body};

const CONSUMERS: usize = 3;
const SWEEPERS: usize = 2;
const OBJECTS: u64 = 12;
/// What the edge accepts, it accepts within this time.
const ACCEPTING_MS: u64 = 100_000;
/// Turns with crashes and pauses, and how many it may take at most to bring everything home after them.
const WILD_TURNS: u64 = 400;
const QUIET_TURNS: u64 = 20_000;
/// A turn takes less than this.
const PACE_MS: u64 = 400;
const TEXTS: [&str; OBJECTS as usize] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
const DAY_NANOS: i64 = 86_400_000_000_000;

/// What is left out of the protocol, to see that it is missed.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub verification: Verification,
    pub tokens: Tokens,
    pub lease: Lease,
    /// Whether an object may come from one batch into another, whose tokens are others.
    pub moves: bool,
    /// Whether spans that other objects of a request hold are left to them.
    pub leaves: bool,
    /// How often the server crashes at most, of a thousand turns.
    pub server_crashes: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            verification: Verification::On,
            tokens: Tokens::OfTheBatch,
            lease: Lease::Checked,
            moves: true,
            leaves: true,
            server_crashes: 30,
        }
    }
}

/// How often what happens, of a thousand turns.
struct Dangers {
    crash: u64,
    pause: u64,
    server_crash: u64,
    away: u64,
    refused: u64,
    notified: u64,
}

pub struct World {
    pub rules: Rules,
    pub chance: Chance,
    pub queue: Queue,
    pub server: RefCell<Server>,
    steps: Steps,
    tells: bool,
    at_work: Cell<usize>,
    now: Cell<UnixMillis>,
    quiet: Cell<bool>,
    stands_still_until: Cell<UnixMillis>,
    dangers: Dangers,
    /// What the edge has accepted, or will.
    bucket: Vec<Notification>,
    /// Of each object the positions of its valid spans.
    valid: BTreeMap<ObjectKey, BTreeSet<u32>>,
    not_whole: RefCell<BTreeMap<String, &'static str>>,
}

/// What is wrong at the end.
#[derive(Default)]
pub struct Harm {
    pub lost: u64,
    pub doubled: u64,
    audit: BTreeMap<String, &'static str>,
}

impl Harm {
    pub fn is_any(&self) -> bool {
        self.lost + self.doubled > 0 || !self.audit.is_empty()
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, doubled, audit } = self;
        write!(f, "{lost} spans lost, {doubled} spans doubled, found by the audit: {audit:?}")
    }
}

impl World {
    pub async fn new(seed: u64, rules: Rules, tells: bool) -> Result<Self> {
        let chance = Chance::new(seed);
        let dangers = Dangers {
            crash: chance.below(40),
            pause: [0, 20, 60, 120][chance.index(4)],
            server_crash: chance.below(rules.server_crashes),
            away: [0, 0, 50, 200][chance.index(4)],
            refused: [0, 0, 20, 60][chance.index(4)],
            notified: [0, 500, 1_000][chance.index(3)],
        };
        let requests: Vec<_> = (0..OBJECTS).map(|_| 1 + chance.below(4) as u32).collect();
        let mut valid = BTreeMap::new();
        let bucket = (0..OBJECTS).map(|number| {
            // Some are resends of others.
            let request = chance.index(requests.len());
            let received = at(chance.below(ACCEPTING_MS));
            let tenant = ["acme", "other"][chance.index(2)];
            let strictness = [0, 0, 300, 700][chance.index(4)];
            let mut spans: BTreeSet<_> =
                (0..requests[request]).filter(|_| !chance.in_thousand(strictness)).collect();
            if spans.is_empty() {
                spans.insert(0);
            }
            let (count, all) = (spans.len() as u32, requests[request]);
            let body = body(TEXTS[request]).of(tenant).spans(count).received(received);
            let object = body.rejected(Some(all - count)).object_with(number.into());
            valid.insert(object.object_key.clone(), spans);
            object
        });
        let bucket = bucket.collect();
        Ok(Self {
            rules,
            tells,
            queue: Queue::in_memory(10_000).await?,
            server: RefCell::default(),
            steps: Steps::default(),
            at_work: Cell::new(0),
            now: Cell::new(NOW),
            quiet: Cell::new(false),
            stands_still_until: Cell::new(UnixMillis(0)),
            dangers,
            bucket,
            valid,
            not_whole: RefCell::default(),
            chance,
        })
    }

    /// Lives through it, and says what is wrong at the end.
    pub async fn run(&self) -> Result<Harm> {
        let mut tasks: Vec<Task<'_>> =
            (0..CONSUMERS + SWEEPERS + 3).map(|number| self.process(number)).collect();
        for _ in 0..WILD_TURNS {
            self.turn(&mut tasks).await;
            self.endanger(&mut tasks);
        }
        self.quiet.set(true);
        for turn in 0.. {
            self.turn(&mut tasks).await;
            if turn % 100 == 0 && self.is_done().await? {
                break;
            }
            ensure!(turn < QUIET_TURNS, "it does not come to its end: {:?}", self.queue.depth().await?);
        }
        Ok(self.harm())
    }

    fn process(&self, number: usize) -> Task<'_> {
        match number {
            0..CONSUMERS => Task::new(consume(self)),
            CONSUMERS => Task::new(notify(self)),
            4 => Task::new(audit(self)),
            5 => Task::new(replay(self)),
            _ => Task::new(sweep(self)),
        }
    }

    async fn turn<'w>(&'w self, tasks: &mut [Task<'w>]) {
        self.now.set(UnixMillis(self.now().0 + self.chance.below(PACE_MS)));
        if self.chance.in_thousand(300) {
            let which = self.chance.index(1_000);
            self.server.borrow_mut().go_on(which);
            return;
        }
        let ready: Vec<_> =
            (0..tasks.len()).filter(|number| tasks[*number].paused_until <= self.now()).collect();
        if ready.is_empty() {
            let next = tasks.iter().map(|task| task.paused_until).min();
            self.now.set(next.unwrap_or(self.now()));
            return;
        }
        let number = ready[self.chance.index(ready.len())];
        let task = &mut tasks[number];
        self.at_work.set(number);
        if task.go_on(&self.steps).await {
            *task = self.process(number);
        }
        task.paused_until = self.stands_still_until.replace(UnixMillis(0));
    }

    fn endanger<'w>(&'w self, tasks: &mut [Task<'w>]) {
        let number = self.chance.index(tasks.len());
        if self.chance.in_thousand(self.dangers.crash) {
            tasks[number] = self.process(number);
            self.at_work.set(number);
            self.tell(|| "crashes".to_owned());
        }
        if self.chance.in_thousand(self.dangers.pause) {
            tasks[number].paused_until = self.after_a_pause();
        }
        if self.chance.in_thousand(self.dangers.server_crash) {
            self.server.borrow_mut().crash();
            self.tell(|| "saw the server crash".to_owned());
        }
    }

    pub async fn step(&self) {
        self.steps.step().await;
    }

    /// How often a task at work stands still after a step, of a thousand times.
    pub fn pauses(&self) -> u64 {
        self.dangers.pause
    }

    /// The task that is at work may stand still after this step.
    pub fn stumble(&self, often: u64) {
        if !self.is_quiet() && self.chance.in_thousand(often) {
            self.stands_still_until.set(self.after_a_pause());
            self.tell(|| format!("stands still until {}", self.stands_still_until.get().0 - NOW.0));
        }
    }

    /// Prints what the process at work does.
    pub fn tell(&self, what: impl FnOnce() -> String) {
        if self.tells {
            eprintln!("{:>7} ms, process {}: {}", self.now().0 - NOW.0, self.at_work.get(), what());
        }
    }

    fn after_a_pause(&self) -> UnixMillis {
        UnixMillis(self.now().0 + self.chance.below(5 * self.lease_ms()))
    }

    /// The task that is at work has nothing to do for so long at most.
    pub async fn rest(&self, at_most_ms: u64) {
        self.stands_still_until.set(UnixMillis(self.now().0 + self.chance.below(at_most_ms)));
        self.step().await;
    }

    pub fn now(&self) -> UnixMillis {
        self.now.get()
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet.get()
    }

    pub fn lease_ms(&self) -> u64 {
        LEASE.as_millis() as u64
    }

    pub fn after_lease(&self, now: UnixMillis) -> UnixMillis {
        UnixMillis(now.0 + self.lease_ms())
    }

    fn accepted(&self) -> impl Iterator<Item = &Notification> {
        self.bucket.iter().filter(|object| object.object_key.received_at() <= self.now())
    }

    /// What lies in the bucket of the time from `from` to before `to`.
    pub fn listing(&self, from: UnixMillis, to: UnixMillis) -> Vec<Notification> {
        let within = |object: &&Notification| (from..to).contains(&object.object_key.received_at());
        self.accepted().filter(within).cloned().collect()
    }

    pub fn next_notification(&self) -> Option<Notification> {
        let objects: Vec<_> = self.accepted().collect();
        if objects.is_empty() || !self.chance.in_thousand(self.dangers.notified) {
            return None;
        }
        // Any of them, so that some come twice and some never.
        Some(objects[self.chance.index(objects.len())].clone())
    }

    pub fn some_objects(&self) -> Vec<Notification> {
        self.accepted().filter(|_| self.chance.in_thousand(200)).cloned().collect()
    }

    /// Those of the batch that the bucket does not give now.
    pub fn away(&self, batch: &Batch) -> Vec<Setback> {
        let is_away =
            |_: &&_| !self.is_quiet() && self.rules.moves && self.chance.in_thousand(self.dangers.away);
        let setback = |object: &origin_consumer::queue::Claimed| Setback {
            object_key: object.notification.object_key.clone(),
            fault: Fault::Passing,
            reason: "away".to_owned(),
        };
        batch.objects.iter().filter(is_away).map(setback).collect()
    }

    /// Whether the server refuses the rows of an insert.
    pub fn refuses(&self) -> bool {
        !self.is_quiet() && self.rules.moves && self.chance.in_thousand(self.dangers.refused)
    }

    /// The positions of the spans that the edge has accepted.
    pub fn valid(&self, key: &ObjectKey) -> BTreeSet<u32> {
        self.valid.get(key).cloned().unwrap_or_default()
    }

    /// The other objects of its request.
    pub fn others(&self, key: &ObjectKey) -> impl Iterator<Item = &ObjectKey> {
        let others = self.bucket.iter().map(|object| &object.object_key);
        others.filter(move |other| other.object_id() == key.object_id() && *other != key)
    }

    /// The rows of these spans of each object, by their positions. Every other row of an object is of another day.
    pub fn rows_of(&self, batch: Ulid, objects: Vec<(ObjectKey, BTreeSet<u32>)>) -> BatchRows {
        let objects = objects.into_iter().map(|(key, spans)| {
            let row = |row_no: u32| SpanRow {
                timestamp: DAY_NANOS * i64::from(row_no % 2),
                object_key: key.to_string().into(),
                row_no,
                ..any_row().clone()
            };
            let rows = spans.into_iter().map(row).collect();
            (key, rows)
        });
        BatchRows::of_each(batch, objects.collect())
    }

    pub fn found(&self, found: &[(Finding, ObjectKey)]) {
        for (finding, key) in found.iter().filter(|(finding, _)| *finding != Finding::Whole) {
            self.not_whole.borrow_mut().insert(key.to_string(), finding.name());
        }
    }

    /// Whether every span is where it should be, as the ledger has it, and nothing is under way.
    async fn is_done(&self) -> Result<bool> {
        let spans: u64 = self.bucket.iter().map(|object| u64::from(object.object_key.spans())).sum();
        let minutes = self.queue.minutes(NOW_MINUTE, at(10 * ACCEPTING_MS)).await?;
        let known: u64 = minutes.values().map(|counts| counts.in_ledger).sum();
        let outstanding: u64 = minutes.values().map(|counts| counts.outstanding()).sum();
        Ok(known == spans && outstanding == 0 && self.server.borrow().is_idle())
    }

    /// Each span once that an object of its request has as a valid one.
    fn harm(&self) -> Harm {
        let mut harm = Harm { audit: self.not_whole.borrow().clone(), ..Harm::default() };
        let mut requests: BTreeMap<_, Vec<&ObjectKey>> = BTreeMap::new();
        for object in &self.bucket {
            requests.entry(object.object_key.object_id()).or_default().push(&object.object_key);
        }
        let server = self.server.borrow();
        // They all were received within the window.
        for objects in requests.into_values() {
            let mut times: BTreeMap<u32, u64> = BTreeMap::new();
            for key in objects {
                for position in self.valid(key) {
                    times.entry(position).or_default();
                }
                for (position, rows) in server.rows(key) {
                    *times.entry(position).or_default() += u64::from(rows);
                }
            }
            harm.lost += times.values().filter(|times| **times == 0).count() as u64;
            harm.doubled += times.values().map(|times| times.saturating_sub(1)).sum::<u64>();
        }
        harm
    }
}

const NOW_MINUTE: UnixMillis = UnixMillis(NOW.0 - NOW.0 % 60_000);

fn any_row() -> &'static SpanRow {
    static ROW: OnceLock<SpanRow> = OnceLock::new();
    ROW.get_or_init(|| {
        let body = Export::new(1).body().unwrap();
        let (notification, object) = stored(&body, 1).unwrap();
        let limits = DecompressLimits { max_bytes: LIMITS.bytes as usize * 100 };
        rows_of(&notification, object.into(), limits, None).unwrap().remove(0)
    })
}
