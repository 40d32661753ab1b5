//! Step s: look through R2 for objects that the ledger does not know, because nobody was told of them.
//!
//! A first look comes soon after the objects, and covers the last minutes again and again: what it finds was not
//! notified. Passes over each minute follow, the last of them after a day, since an object can become visible late. Several
//! sweepers share the minutes by leases in the ledger.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Deserialize;
use spillway_proto::notification::Notification;
use spillway_proto::object_key::SHARDS;
use spillway_proto::{ObjectKey, UnixMillis};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::config::{ConfigError, in_range, wrong};
use crate::failpoints;
use crate::metrics::Metrics;
use crate::objects::{ObjectError, Objects};
use crate::panics::caught;
use crate::queue::{Enqueued, Listed, Queue, QueueError, SweepMinute};
use crate::time::{after, before, now, ticks};

const LOOK: &str = "look";
const MINUTE: Duration = Duration::from_secs(60);
/// How far a look goes back beyond the time that a notification may take.
const LOOK_WINDOW: Duration = Duration::from_secs(60);
/// How long a minute stays with a sweeper that died.
const MINUTE_LEASE: Duration = Duration::from_secs(60);
/// Keys of one listing; R2 gives no more.
const PAGE: usize = 1000;
/// Objects that are described side by side.
const DESCRIPTIONS: usize = 8;
/// How far the clock may move against the time that passes before it is said.
const CLOCK_JUMP: Duration = Duration::from_secs(10);

/// `[sweep]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SweepConfig {
    /// The time between two looks, in seconds; the first comes at the start.
    pub interval_seconds: u64,
    /// How long a notification may be on its way before the sweep takes its place, in seconds.
    pub grace_seconds: u64,
    /// When each minute is listed again, in seconds after its end, rising.
    pub passes_seconds: Vec<u64>,
    /// How far the very first passes go back, in seconds.
    pub lookback_seconds: u64,
    /// Listings side by side.
    pub listings: usize,
}

impl Default for SweepConfig {
    fn default() -> Self {
        Self {
            interval_seconds: 10,
            grace_seconds: 30,
            passes_seconds: vec![180, 900, 86_400],
            lookback_seconds: 86_400,
            listings: 4,
        }
    }
}

impl SweepConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        in_range("sweep.interval_seconds", self.interval_seconds, 1..=600)?;
        in_range("sweep.grace_seconds", self.grace_seconds, 0..=3600)?;
        let rising = self.passes_seconds.windows(2).all(|pair| pair[0] < pair[1]);
        let in_range_all = self.passes_seconds.iter().all(|seconds| (1..=7 * 86_400).contains(seconds));
        if self.passes_seconds.is_empty() || !rising || !in_range_all {
            let expected = "a rising list of seconds between 1 and 604800";
            return Err(wrong("sweep.passes_seconds", expected, format!("{:?}", self.passes_seconds)));
        }
        in_range("sweep.lookback_seconds", self.lookback_seconds, 0..=31 * 86_400)?;
        in_range("sweep.listings", self.listings, 1..=64)
    }

    /// How long a notification may take.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_seconds)
    }

    /// The last pass over a minute comes so long after its end.
    pub fn last_pass(&self) -> Duration {
        Duration::from_secs(self.passes_seconds.last().copied().unwrap_or_default())
    }

    fn pass(&self, pass: u32) -> Option<Duration> {
        self.passes_seconds.get(pass as usize).copied().map(Duration::from_secs)
    }
}

/// A minute could not be listed in whole; it is listed again.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error("{0}")]
    Bucket(#[from] ObjectError),
    #[error("the queue: {0}")]
    Queue(#[from] QueueError),
    #[error("the queue is full (queue.max_pending); what was found waits in the bucket")]
    Full,
}

/// What a listing has shown.
#[derive(Debug, Default)]
struct Seen {
    by_tenant: HashMap<String, Listed>,
    found: usize,
    unreadable: usize,
}

impl Seen {
    fn count(&mut self, tenant: &str, key: &ObjectKey) {
        let listed = self.by_tenant.entry(tenant.to_owned()).or_default();
        listed.objects += 1;
        listed.spans += u64::from(key.spans());
    }

    fn add(&mut self, other: Self) {
        for (tenant, Listed { objects, spans }) in other.by_tenant {
            let listed = self.by_tenant.entry(tenant).or_default();
            listed.objects += objects;
            listed.spans += spans;
        }
        self.found += other.found;
        self.unreadable += other.unreadable;
    }
}

/// The sweep.
pub struct Sweep {
    config: SweepConfig,
    queue: Arc<Queue>,
    objects: Objects,
    metrics: Arc<Metrics>,
    id: Ulid,
}

impl Sweep {
    /// A sweep that does nothing yet.
    pub fn new(config: SweepConfig, queue: Arc<Queue>, objects: Objects, metrics: Arc<Metrics>) -> Self {
        Self { config, queue, objects, metrics, id: Ulid::generate() }
    }

    /// Looks and makes passes until `stop`. The looks do not wait for the passes: after an outage there are many.
    pub async fn run(self, stop: CancellationToken) {
        tokio::join!(self.look_until(&stop), self.pass_until(&stop));
    }

    async fn look_until(&self, stop: &CancellationToken) {
        let mut clock = Clock::started();
        // Farther back, the passes have come.
        let farthest = self.config.pass(0).unwrap_or_default() + MINUTE;
        let mut looked: Option<Instant> = None;
        let mut ticks = ticks(self.interval());
        let forever = async {
            loop {
                ticks.tick().await;
                if let Some(jump_ms) = clock.jumped() {
                    tracing::error!(
                        jump_ms,
                        "the clock was set: leases and passes may come early or late, and nothing is lost"
                    );
                }
                // From the last look on that came to its end: others may have failed for minutes.
                let window = looked.map_or(farthest, |at| (at.elapsed() + LOOK_WINDOW).min(farthest));
                let began = Instant::now();
                match caught("a look of the sweep", self.look(now(), window)).await {
                    // Another sweeper looks, or the one that this one takes the place of was to.
                    Some(Ok(None)) => {}
                    Some(Ok(Some(found))) => {
                        looked = Some(began);
                        if found > 0 {
                            tracing::warn!(found, "objects had been stored without a notification");
                        }
                    }
                    Some(Err(error)) => tracing::warn!(%error, "the sweep could not look"),
                    None => {}
                }
            }
        };
        stop.run_until_cancelled(forever).await;
        if let Err(error) = self.queue.leave_chore(LOOK, self.id).await {
            tracing::debug!(%error, "others wait until the turn is over");
        }
    }

    async fn pass_until(&self, stop: &CancellationToken) {
        let mut ticks = ticks(self.interval());
        let forever = async {
            loop {
                ticks.tick().await;
                if let Some(Err(error)) = caught("a pass of the sweep", self.passes()).await {
                    tracing::warn!(%error, "the sweep could not finish a pass");
                }
            }
        };
        stop.run_until_cancelled(forever).await;
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(self.config.interval_seconds)
    }

    /// Lists the last minutes, as one of the sweepers. Returns how many objects were not known; nothing, where it is the turn
    /// of another one.
    async fn look(&self, now: UnixMillis, window: Duration) -> Result<Option<usize>, SweepError> {
        let until = after(now, self.interval() * 3);
        if !self.queue.hold_chore(LOOK, self.id, until, now).await? {
            return Ok(None);
        }
        failpoints::pass("sweep::looking");
        let due_before = before(now, self.config.grace());
        let mut minute = UnixMillis(minute_of(before(due_before, window)));
        let mut found = 0;
        // A minute that cannot be listed in whole must not hide those after it.
        let mut failed = Ok(());
        while minute < due_before {
            match self.list(minute, due_before).await {
                Ok(seen) => {
                    found += seen.found;
                    self.queue.note_listing(minute, seen.by_tenant, now).await?;
                }
                Err(error) => failed = Err(error),
            }
            minute = after(minute, MINUTE);
        }
        failed?;
        self.metrics.looked(due_before);
        Ok(Some(found))
    }

    /// Makes all passes that are due, several minutes side by side.
    async fn passes(&self) -> Result<(), SweepError> {
        let first = self.config.pass(0).unwrap_or_default();
        let lookback = Duration::from_secs(self.config.lookback_seconds);
        self.queue.open_minutes(now(), lookback, first).await?;
        let sweepers = (0..self.config.listings).map(|_| async {
            while let Some(minute) = self.queue.claim_minute(now(), MINUTE_LEASE).await? {
                self.pass(&minute).await?;
            }
            Ok::<_, SweepError>(())
        });
        stream::iter(sweepers).buffer_unordered(self.config.listings).try_collect().await
    }

    async fn pass(&self, minute: &SweepMinute) -> Result<(), SweepError> {
        failpoints::pass("sweep::claimed");
        let began = now();
        let seen = self.list(minute.minute, after(minute.minute, MINUTE)).await?;
        failpoints::pass("sweep::listed");
        if seen.found > 0 {
            tracing::warn!(found = seen.found, minute = %minute.minute.date(), "a pass found objects that nobody had told of");
        }
        self.queue.note_listing(minute.minute, seen.by_tenant, began).await?;
        let end = after(minute.minute, MINUTE);
        let next = self.config.pass(minute.passes_done + 1).map(|pass| after(end, pass));
        if !self.queue.finish_minute(minute, next).await? {
            tracing::debug!(minute = %minute.minute.date(), "another sweeper has the minute by now");
        }
        Ok(())
    }

    /// Lists a minute, and takes in what the ledger does not know of what was received before `due_before`.
    async fn list(&self, minute: UnixMillis, due_before: UnixMillis) -> Result<Seen, SweepError> {
        let folder = ObjectKey::folder_of(minute);
        let page = self.objects.list(&folder, "", PAGE).await?;
        let mut seen = self.take_in(page.objects, due_before).await?;
        if page.more {
            // A minute of more than a page is listed by shards, side by side.
            seen = Seen::default();
            let shards = (0..SHARDS).map(|shard| self.list_shard(format!("{folder}{shard:x}/"), due_before));
            let mut shards = stream::iter(shards).buffer_unordered(self.config.listings);
            while let Some(of_shard) = shards.next().await {
                seen.add(of_shard?);
            }
        }
        Ok(seen)
    }

    async fn list_shard(&self, prefix: String, due_before: UnixMillis) -> Result<Seen, SweepError> {
        let (mut seen, mut last) = (Seen::default(), String::new());
        loop {
            let page = self.objects.list(&prefix, &last, PAGE).await?;
            let more = page.more;
            if let Some(object) = page.objects.last() {
                last.clone_from(&object.key);
            }
            seen.add(self.take_in(page.objects, due_before).await?);
            if !more {
                return Ok(seen);
            }
        }
    }

    async fn take_in(
        &self,
        listed: Vec<crate::objects::Listed>,
        due_before: UnixMillis,
    ) -> Result<Seen, SweepError> {
        let keys = listed.iter().filter_map(|object| object.key.parse::<ObjectKey>().ok());
        let due: Vec<_> = keys.filter(|key| key.received_at() < due_before).collect();
        let tenants = self.queue.tenants_of(due.clone()).await?;
        let mut seen = Seen::default();
        let mut unknown = Vec::new();
        for key in due {
            match tenants.get(&key) {
                Some(tenant) => seen.count(tenant, &key),
                None => unknown.push(key),
            }
        }
        for found in self.describe(unknown, &mut seen).await? {
            seen.count(found.tenant.as_str(), &found.object_key);
        }
        Ok(seen)
    }

    /// Takes the objects in, and returns what they are.
    async fn describe(&self, keys: Vec<ObjectKey>, seen: &mut Seen) -> Result<Vec<Notification>, SweepError> {
        let descriptions = keys.into_iter().map(|key| async move {
            let description = self.objects.describe(&key).await;
            (key, description)
        });
        let mut descriptions = stream::iter(descriptions).buffer_unordered(DESCRIPTIONS);
        let (mut found, mut failed) = (Vec::new(), Ok(()));
        while let Some((key, description)) = descriptions.next().await {
            match description {
                Ok(notification) => found.push(notification),
                Err(ObjectError::Poison(reason)) => {
                    tracing::error!(object = %key, reason, "an object in the bucket is not one of ours");
                    seen.unreadable += 1;
                    seen.count("", &key);
                }
                // One that cannot be had now must not hold up the others.
                Err(error) => failed = Err(error),
            }
        }
        let enqueued = self.queue.sweep_in(found.clone(), now()).await?;
        if enqueued.contains(&Enqueued::Full) {
            return Err(SweepError::Full);
        }
        let new = enqueued.iter().filter(|enqueued| **enqueued == Enqueued::New).count();
        seen.found += new;
        self.metrics.swept(new);
        failed?;
        Ok(found)
    }
}

fn minute_of(at: UnixMillis) -> u64 {
    at.0 - at.0 % 60_000
}

/// The time of day against the time that passes.
struct Clock {
    wall: UnixMillis,
    steady: Instant,
}

impl Clock {
    fn started() -> Self {
        Self { wall: now(), steady: Instant::now() }
    }

    /// By how many milliseconds the clock was set since this was last asked, if it was.
    fn jumped(&mut self) -> Option<i64> {
        let expected = after(self.wall, self.steady.elapsed());
        *self = Self::started();
        let jump = i64::try_from(self.wall.0).ok()?.checked_sub(i64::try_from(expected.0).ok()?)?;
        (jump.unsigned_abs() > CLOCK_JUMP.as_millis() as u64).then_some(jump)
    }
}
