//! How objects come in. Those that arrive while a commit is under way share the next one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use spillway_proto::UnixMillis;
use spillway_proto::notification::Notification;
use tokio::sync::{Notify, mpsc, oneshot};

use super::config::QueueConfig;
use super::resends::{Precedence, precedences, release};
use super::session::{Session, Value, in_powers, rows_of, rows_of_placeholders};
use super::store::Store;
use super::{QueueError, session};
use crate::failpoints;
use crate::panics::caught;
use crate::time::minute_of;

/// Notifications that share a statement at most.
const GROUP: usize = 512;
/// Notifications that wait for the next group; more of them make the callers wait.
const CAPACITY: usize = 4096;
/// For so long, what was counted of the waiting objects is relied on.
const COUNT_AGE: Duration = Duration::from_secs(1);

/// What became of an object that was brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// It waits to be stored.
    New,
    /// It is known already.
    Known,
    /// Another object holds the same request. Spans that only this one holds, if there are any, are stored after those of
    /// the other.
    Resend,
    /// Not taken: `queue.max_pending` objects wait already.
    Full,
}

/// How the ledger came to know of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// By its notification.
    Notified,
    /// The sweep found it in the bucket.
    Swept,
    /// Somebody asked for it.
    Replayed,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Notified => "notified",
            Self::Swept => "swept",
            Self::Replayed => "replayed",
        }
    }

    /// Live ones come first.
    pub(super) fn priority(self) -> u64 {
        match self {
            Self::Notified | Self::Swept => 0,
            Self::Replayed => 1,
        }
    }
}

/// An object and when it was brought.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) notification: Notification,
    pub(super) at: UnixMillis,
}

/// What decides about an arrival.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) source: Source,
    pub(super) resend_window_ms: u64,
    pub(super) whole_since: UnixMillis,
}

type Waiting = (Arrival, oneshot::Sender<Result<Enqueued, QueueError>>);

#[derive(Clone)]
pub(super) struct Intake {
    store: Store,
    resend_window_ms: u64,
    room: Arc<Room>,
    arrived: Arc<Notify>,
    waiting: mpsc::Sender<Waiting>,
}

impl Intake {
    pub(super) fn start(store: Store, config: &QueueConfig, arrived: Arc<Notify>) -> Self {
        let (waiting, groups) = mpsc::channel(CAPACITY);
        let room = Arc::new(Room::new(config.max_pending));
        let resend_window_ms = config.resend_window_seconds.saturating_mul(1000);
        let intake = Self { store, resend_window_ms, room, arrived, waiting };
        // Ends when the last `Intake` but its own is gone: it must not hold a sender itself.
        let (sender, _) = mpsc::channel(1);
        tokio::spawn(Self { waiting: sender, ..intake.clone() }.take_groups(groups));
        intake
    }

    pub(super) async fn enqueue(
        &self,
        notification: Notification,
        at: UnixMillis,
    ) -> Result<Enqueued, QueueError> {
        let (caller, answer) = oneshot::channel();
        let waiting = (Arrival { notification, at }, caller);
        self.waiting.send(waiting).await.map_err(|_| QueueError::Closed)?;
        answer.await.map_err(|_| QueueError::Closed)?
    }

    pub(super) fn resend_window_ms(&self) -> u64 {
        self.resend_window_ms
    }

    pub(super) async fn take_all(
        &self,
        notifications: Vec<Notification>,
        source: Source,
        at: UnixMillis,
    ) -> Result<Vec<Enqueued>, QueueError> {
        let arrivals = notifications.into_iter().map(|notification| Arrival { notification, at });
        self.take(arrivals.collect(), source).await
    }

    async fn take_groups(self, mut groups: mpsc::Receiver<Waiting>) {
        let mut group = Vec::with_capacity(GROUP);
        while groups.recv_many(&mut group, GROUP).await > 0 {
            let (arrivals, callers): (Vec<_>, Vec<_>) = group.drain(..).unzip();
            let taken = caught("the intake of the queue", async {
                failpoints::pass("queue::enqueue");
                let taken = self.take(arrivals, Source::Notified).await;
                failpoints::pass("queue::enqueued");
                taken
            });
            match taken.await.unwrap_or(Err(QueueError::Panicked)) {
                // A caller that went away has its object taken all the same.
                Ok(enqueued) => callers.into_iter().zip(enqueued).for_each(|(caller, enqueued)| {
                    let _ = caller.send(Ok(enqueued));
                }),
                Err(error) => callers.into_iter().for_each(|caller| {
                    let _ = caller.send(Err(QueueError::Store(error.to_string())));
                }),
            }
        }
    }

    async fn take(&self, mut arrivals: Vec<Arrival>, source: Source) -> Result<Vec<Enqueued>, QueueError> {
        let all = arrivals.len();
        arrivals.truncate(self.room.left(&self.store).await?);
        if arrivals.is_empty() {
            return Ok(vec![Enqueued::Full; all]);
        }
        let resend_window_ms = self.resend_window_ms;
        let rules = Rules { source, resend_window_ms, whole_since: self.store.whole_since() };
        let mut enqueued = self.store.writer.run(move |session| enqueue(session, &arrivals, rules)).await?;
        let new = enqueued.iter().filter(|enqueued| **enqueued == Enqueued::New).count();
        if new > 0 {
            self.room.taken(new);
        }
        if enqueued.iter().any(|enqueued| matches!(enqueued, Enqueued::New | Enqueued::Resend)) {
            self.arrived.notify_one();
        }
        enqueued.resize(all, Enqueued::Full);
        Ok(enqueued)
    }
}

/// How many objects may still come in.
struct Room {
    most: u64,
    waiting: AtomicU64,
    counted: Mutex<Option<Instant>>,
}

impl Room {
    fn new(most: u64) -> Self {
        Self { most, waiting: AtomicU64::new(0), counted: Mutex::new(None) }
    }

    /// For how many there is room. Those of a group that find none come again: a group larger than the whole queue must
    /// get in, too.
    async fn left(&self, store: &Store) -> Result<usize, QueueError> {
        let counted = *self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if self.most < u64::MAX && counted.is_none_or(|at| at.elapsed() > COUNT_AGE) {
            let most = self.most;
            // No further than it matters.
            let count =
                "SELECT count(*) FROM (SELECT 1 FROM objects WHERE state = 'pending' LIMIT $1) AS waiting";
            let row =
                store.reader.run(move |session| session.query_one(count, session::values![most])).await?;
            self.waiting.store(row.map_or(Ok(0), |row| row.number(0))?, Ordering::Relaxed);
            store.read_whole_since().await?;
            *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        let left = self.most.saturating_sub(self.waiting.load(Ordering::Relaxed));
        Ok(usize::try_from(left).unwrap_or(usize::MAX))
    }

    fn taken(&self, objects: usize) {
        self.waiting.fetch_add(objects as u64, Ordering::Relaxed);
    }
}

/// Takes the arrivals in, and says what became of each, in their order.
pub(super) fn enqueue(
    session: &mut dyn Session,
    arrivals: &[Arrival],
    rules: Rules,
) -> Result<Vec<Enqueued>, QueueError> {
    let keys: Vec<String> =
        arrivals.iter().map(|arrival| arrival.notification.object_key.to_string()).collect();
    let known: HashSet<String> = rows_of(session, "0", &keys, "")?.into_keys().collect();
    if rules.source == Source::Notified {
        note_notified(session, arrivals, &known)?;
    }
    // By key: the same object may have been brought twice at once.
    let new: BTreeMap<&str, &Arrival> = keys
        .iter()
        .zip(arrivals)
        .filter(|(key, _)| !known.contains(*key))
        .map(|(key, arrival)| (key.as_str(), arrival))
        .collect();
    let precedences = precedences(session, &new, rules.resend_window_ms)?;
    let inserted = insert(session, &new, &precedences, rules)?;
    let mut told = HashSet::new();
    Ok(keys
        .iter()
        .map(|key| match key.as_str() {
            key if !inserted.contains(key) || !told.insert(key) => Enqueued::Known,
            key if precedences.get(key) == Some(&Precedence::First) => Enqueued::New,
            _ => Enqueued::Resend,
        })
        .collect())
}

/// What the sweep had found before its notification came was not missed, only late.
fn note_notified(
    session: &mut dyn Session,
    arrivals: &[Arrival],
    known: &HashSet<String>,
) -> Result<(), QueueError> {
    for arrival in arrivals {
        let key = arrival.notification.object_key.to_string();
        if known.contains(&key) {
            let sql =
                "UPDATE objects SET notified_at_ms = $1 WHERE object_key = $2 AND notified_at_ms IS NULL";
            session.execute(sql, session::values![arrival.at.0, key])?;
        }
    }
    Ok(())
}

const COLUMNS: [&str; 18] = [
    "object_key",
    "object_id",
    "tenant",
    "spans",
    "payload_bytes",
    "received_at_ms",
    "received_minute_ms",
    "notification",
    "state",
    "source",
    "notified_at_ms",
    "priority",
    "look_first",
    "not_before_ms",
    "enqueued_at_ms",
    "complete",
    "previous_id",
    "resend_of",
];

/// Returns the keys of those that were not there.
fn insert<'k>(
    session: &mut dyn Session,
    objects: &BTreeMap<&'k str, &Arrival>,
    precedences: &HashMap<&str, Precedence>,
    rules: Rules,
) -> Result<HashSet<&'k str>, QueueError> {
    let objects: Vec<_> = objects.iter().map(|(key, arrival)| (*key, *arrival)).collect();
    let mut inserted = HashSet::new();
    for rows in in_powers(&objects) {
        let sql = format!(
            "INSERT INTO objects ({}) VALUES {} ON CONFLICT (object_key) DO NOTHING RETURNING object_key",
            COLUMNS.join(", "),
            rows_of_placeholders(rows.len(), COLUMNS.len())
        );
        let mut values = Vec::with_capacity(rows.len() * COLUMNS.len());
        for (key, arrival) in rows {
            let precedence = precedences.get(key).unwrap_or(&Precedence::First);
            let state = match precedence {
                Precedence::First => "pending",
                Precedence::Duplicate { .. } => "duplicate",
                Precedence::Held { .. } => "held",
            };
            values.extend(columns(key, arrival, state, precedence, rules)?);
        }
        let ours = session.query(&sql, &values)?;
        let ours = ours.iter().map(|row| row.text(0)).collect::<Result<HashSet<_>, _>>()?;
        inserted.extend(rows.iter().map(|(key, _)| *key).filter(|key| ours.contains(key)));
    }
    for precedence in precedences.values() {
        if let Precedence::Held { root } = precedence {
            release(session, root)?;
        }
    }
    Ok(inserted)
}

fn columns(
    key: &str,
    arrival: &Arrival,
    state: &str,
    precedence: &Precedence,
    rules: Rules,
) -> Result<[Value; COLUMNS.len()], QueueError> {
    let Arrival { notification, at } = arrival;
    let received = notification.object_key.received_at();
    let notified_at = (rules.source == Source::Notified).then_some(at.0);
    let look_first = rules.source == Source::Replayed || received < rules.whole_since;
    Ok([
        key.into(),
        notification.object_key.object_id().to_string().into(),
        notification.tenant.as_str().into(),
        notification.object_key.spans().into(),
        notification.payload_bytes.into(),
        received.0.into(),
        minute_of(received).0.into(),
        as_json(notification)?.into(),
        state.into(),
        rules.source.name().into(),
        notified_at.into(),
        rules.source.priority().into(),
        look_first.into(),
        0u64.into(),
        at.0.into(),
        (notification.rejected_spans == Some(0)).into(),
        notification.previous_id.map(|id| id.to_string()).into(),
        precedence.resend_of().into(),
    ])
}

pub(super) fn as_json(notification: &Notification) -> Result<String, QueueError> {
    serde_json::to_string(notification).map_err(|error| QueueError::Unreadable(error.to_string()))
}
