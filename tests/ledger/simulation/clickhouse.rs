//! ClickHouse, as far as inserts go: it notes a token before it shows the rows, and an insert goes on when its client has
//! gone.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};

use origin_consumer::insert::{BatchRows, Insert, SpanSink};
use origin_consumer::queue::Batch;
use spillway_proto::ObjectKey;

use super::world::World;

/// How often a consumer stands still before an insert that heals, of a thousand times.
const HEALING_PAUSES: u64 = 300;

/// Whether the healing tokens are what the protocol says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// They are the same in every try.
    OfTheBatch,
    /// Another one in every try, so that none keeps a late insert of an earlier try out.
    HealingOfOneTry,
}

/// Whether a consumer looks at its clock before it sends an insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    Checked,
    /// One that stood still past its lease sends what it was about to send.
    Unchecked,
}

/// How far an insert has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Running,
    /// Its token is noted; its rows are not there.
    Noted,
}

#[derive(Debug)]
struct Running {
    number: u64,
    query_id: String,
    token: String,
    rows: Vec<(ObjectKey, u32)>,
    progress: Progress,
}

/// How an insert has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Well,
    /// By a crash of the server, or by KILL QUERY.
    Badly,
}

/// The server.
#[derive(Default)]
pub struct Server {
    begun: u64,
    running: Vec<Running>,
    ended: HashMap<u64, Ended>,
    tokens: HashSet<String>,
    visible: BTreeMap<ObjectKey, BTreeMap<u32, u32>>,
}

impl Server {
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// How often each row of the object is there.
    pub fn rows(&self, key: &ObjectKey) -> BTreeMap<u32, u32> {
        self.visible.get(key).cloned().unwrap_or_default()
    }

    fn begin(&mut self, query_id: String, token: String, rows: Vec<(ObjectKey, u32)>) -> u64 {
        self.begun += 1;
        self.running.push(Running { number: self.begun, query_id, token, rows, progress: Progress::Running });
        self.begun
    }

    /// One of the inserts comes a step further.
    pub fn go_on(&mut self, which: usize) {
        if self.running.is_empty() {
            return;
        }
        let which = which % self.running.len();
        let insert = &mut self.running[which];
        if insert.progress == Progress::Running && self.tokens.insert(insert.token.clone()) {
            insert.progress = Progress::Noted;
            return;
        }
        let insert = self.running.remove(which);
        self.end(insert);
    }

    fn end(&mut self, insert: Running) {
        if insert.progress == Progress::Noted {
            for (key, row) in insert.rows {
                *self.visible.entry(key).or_default().entry(row).or_default() += 1;
            }
        }
        self.ended.insert(insert.number, Ended::Well);
    }

    /// What was noted stays noted, and what was shown stays.
    pub fn crash(&mut self) {
        for insert in self.running.drain(..) {
            self.ended.insert(insert.number, Ended::Badly);
        }
    }

    /// An insert that notes its token is too far gone to be ended; KILL QUERY waits for it.
    fn kill(&mut self, query_ids: &str) {
        let (killed, running) =
            self.running.drain(..).partition(|insert| insert.query_id.starts_with(query_ids));
        self.running = running;
        for insert in killed {
            match insert.progress {
                Progress::Running => drop(self.ended.insert(insert.number, Ended::Badly)),
                Progress::Noted => self.end(insert),
            }
        }
    }
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error("the server is gone")]
    Gone,
    #[error("the server refuses the rows")]
    Refused,
    #[error("the lease is lost")]
    LeaseLost,
}

/// A consumer's way to the server. It keeps the lease meanwhile, now and then too late.
pub struct Client<'w> {
    pub world: &'w World,
    pub batch: &'w Batch,
    pub try_no: u64,
    /// When it was last asked for.
    pub lease: Cell<u64>,
}

impl Client<'_> {
    /// The task may stop here for ever, or so long that the lease is lost.
    pub async fn step(&self) -> Result<(), SinkError> {
        self.stumbling_step(self.world.pauses()).await
    }

    async fn stumbling_step(&self, often: u64) -> Result<(), SinkError> {
        self.world.stumble(often);
        self.world.step().await;
        let due = self.world.now().0 > self.lease.get() + self.world.lease_ms() / 3;
        // Timer and answer may be there at the same time; either may be seen first.
        if due && self.world.chance.in_thousand(500) {
            let now = self.world.now();
            let renewed = self.world.queue.renew(self.batch, self.world.after_lease(now)).await;
            renewed.map_err(|_| SinkError::LeaseLost)?;
            self.lease.set(now.0);
        }
        Ok(())
    }
}

impl SpanSink for Client<'_> {
    type Error = SinkError;

    async fn insert(&self, insert: Insert<'_>) -> Result<(), SinkError> {
        let (world, heals) = (self.world, insert.token.contains(".h"));
        // Healing is rare, and needs the same care.
        self.stumbling_step(if heals { HEALING_PAUSES } else { world.pauses() }).await?;
        if world.rules.lease == Lease::Checked && self.batch.lease.is_over(world.now()) {
            return Err(SinkError::LeaseLost);
        }
        if world.refuses() {
            return Err(SinkError::Refused);
        }
        let token = match world.rules.tokens {
            Tokens::HealingOfOneTry if heals => {
                format!("{}.{}", insert.token, self.try_no)
            }
            _ => insert.token,
        };
        let rows = insert.rows.iter().map(|row| {
            let (key, row_no) = insert.batch.origin(*row).expect("a row of the batch");
            (key.clone(), row_no)
        });
        world.tell(|| format!("sends {token} of {}", insert.query_id));
        let number = world.server.borrow_mut().begin(insert.query_id, token, rows.collect());
        loop {
            self.step().await?;
            match world.server.borrow().ended.get(&number) {
                Some(Ended::Well) => return Ok(()),
                Some(Ended::Badly) => return Err(SinkError::Gone),
                None => {}
            }
        }
    }

    async fn end_inserts(&self, query_ids: &str) -> Result<(), SinkError> {
        self.step().await?;
        self.world.server.borrow_mut().kill(query_ids);
        self.step().await
    }

    async fn await_inserts(&self) -> Result<(), SinkError> {
        self.step().await?;
        let running: Vec<_> = self.world.server.borrow().running.iter().map(|insert| insert.number).collect();
        let runs = |insert: &Running| running.contains(&insert.number);
        while self.world.server.borrow().running.iter().any(runs) {
            self.step().await?;
        }
        Ok(())
    }

    async fn counts(&self, keys: &[ObjectKey]) -> Result<HashMap<ObjectKey, u64>, SinkError> {
        self.step().await?;
        let count = |key: &ObjectKey| {
            let rows = self.world.server.borrow().rows(key);
            (key.clone(), rows.values().map(|times| u64::from(*times)).sum())
        };
        let counts = keys.iter().map(count).collect();
        self.step().await?;
        Ok(counts)
    }

    async fn row_numbers(&self, key: &ObjectKey) -> Result<HashSet<u32>, SinkError> {
        self.step().await?;
        let rows = self.world.server.borrow().rows(key).into_keys().collect();
        self.step().await?;
        Ok(rows)
    }

    async fn derive(&self, _: &BatchRows) -> Result<(), SinkError> {
        self.step().await
    }
}
