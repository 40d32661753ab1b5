//! A replay from its first object to its last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use spillway_proto::ObjectKey;
use spillway_proto::notification::Notification;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::bring::{Bring, Fate};
use super::checkpoint::{Checkpoint, CheckpointError};
use super::in_flight::{Counts, Done, InFlight, Ticket};
use super::progress::Progress;
use super::rate::Throttle;
use super::selection::{Found, Listing, Selection};
use super::totals::Tally;
use crate::objects::{ObjectError, Objects};
use crate::queue::ClaimLimits;
use crate::time::ticks;

/// Objects that are asked for side by side.
const DESCRIPTIONS: usize = 16;
/// Objects that were found and wait for a batch.
const FOUND: usize = 64;
/// Objects that have ended, or are in hand, behind one that has not: more are not begun.
const AHEAD: usize = 200_000;
/// How long an object waits for others to share its batch.
const LINGER: Duration = Duration::from_secs(1);
/// How often it is looked what is to be said.
const LOOK: Duration = Duration::from_secs(1);
/// How often the checkpoint is written.
const SAVE: Duration = Duration::from_secs(5);

/// What a replay is made of.
pub(super) struct Run {
    pub(super) selection: Selection,
    pub(super) source: Objects,
    pub(super) bring: Arc<Bring>,
    pub(super) throttle: Throttle,
    pub(super) limits: ClaimLimits,
    pub(super) concurrency: usize,
    pub(super) drain: Duration,
    pub(super) stop: CancellationToken,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// How far all is done, and what has become of that.
    pub(super) done: Done,
    pub(super) why: Why,
}

/// Why it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// All objects have come to their ends.
    Complete,
    /// It was asked to end.
    Interrupted,
    /// Something was away for too long.
    Failed(String),
}

type Brought = Vec<(Notification, Fate)>;

/// What is in hand.
struct Hand<'p> {
    in_flight: InFlight,
    tickets: BTreeMap<ObjectKey, Ticket>,
    /// The objects of the next batch.
    gathered: Vec<Notification>,
    gathered_since: Option<Instant>,
    limits: ClaimLimits,
    workers: JoinSet<Brought>,
    failure: Option<String>,
    progress: &'p Progress,
}

impl Run {
    /// Replays what is left behind `done`; writes down how far it has come.
    pub(super) async fn run(
        self,
        done: Done,
        checkpoint: &mut Option<Checkpoint>,
        progress: &Progress,
    ) -> Result<Ended, CheckpointError> {
        let Self { selection, source, bring, throttle, limits, concurrency, drain, stop } = self;
        let mut count = counted(selection.clone(), source.clone(), done.through.clone());
        let (found, mut waiting) = mpsc::channel(FOUND);
        let finder = tokio::spawn(find(selection, source, done.through.clone(), throttle, found));
        let mut hand = Hand {
            in_flight: InFlight::after(done),
            tickets: BTreeMap::new(),
            gathered: Vec::new(),
            gathered_since: None,
            limits,
            workers: JoinSet::new(),
            failure: None,
            progress,
        };
        let (mut ticks, mut saved, mut all_found) = (ticks(LOOK), Instant::now(), false);
        while !stop.is_cancelled() && hand.failure.is_none() {
            if hand.workers.len() < concurrency && hand.is_due(all_found) {
                hand.begin(&bring);
                continue;
            }
            if all_found && hand.in_flight.is_empty() {
                break;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Some(brought) = hand.workers.join_next() => hand.end(brought),
                found = waiting.recv(), if !all_found && hand.has_room() => match found {
                    Some(Ok(found)) => hand.take(found),
                    Some(Err(error)) => hand.failure = Some(error.to_string()),
                    None => all_found = true,
                },
                Some(Ok(Ok(listing))) = count.join_next() => progress.expect(listing),
                _ = ticks.tick() => {}
            }
            progress.tick(Instant::now());
            if saved.elapsed() >= SAVE {
                save(checkpoint, hand.in_flight.done())?;
                saved = Instant::now();
            }
        }
        finder.abort();
        // What is in hand ends; nothing of it is tried again, whoever asked for the end.
        stop.cancel();
        hand.drain(drain).await;
        save(checkpoint, hand.in_flight.done())?;
        let why = match hand.failure {
            Some(failure) => Why::Failed(failure),
            None if all_found && hand.in_flight.is_empty() => Why::Complete,
            None => Why::Interrupted,
        };
        Ok(Ended { done: hand.in_flight.done().clone(), why })
    }
}

impl Hand<'_> {
    /// Whether a batch is to be begun: because it is full, because it has waited, or because nothing more comes.
    fn is_due(&self, all_found: bool) -> bool {
        let has_waited = self.gathered_since.is_some_and(|since| since.elapsed() >= LINGER);
        !self.gathered.is_empty() && (all_found || has_waited || self.is_full())
    }

    fn is_full(&self) -> bool {
        let sum = |of: fn(&Notification) -> u64| self.gathered.iter().map(of).fold(0, u64::saturating_add);
        self.gathered.len() >= self.limits.objects as usize
            || sum(|object| object.object_key.spans().into()) >= self.limits.spans
            || sum(|object| object.payload_bytes) >= self.limits.bytes
    }

    fn has_room(&self) -> bool {
        !self.is_full() && self.in_flight.len() < AHEAD
    }

    fn take(&mut self, found: Found) {
        let ticket = self.in_flight.begin(found.key().clone());
        match found {
            Found::Wanted(notification) => {
                self.tickets.insert(notification.object_key.clone(), ticket);
                self.gathered.push(notification);
                self.gathered_since.get_or_insert_with(Instant::now);
            }
            Found::OfAnother(_) => self.count(ticket, Counts { of_others: 1, ..Counts::default() }),
            Found::Unreadable(key, reason) => {
                self.progress.say(&format!("cannot be read: {key}: {reason}"));
                self.count(ticket, Counts { unreadable: 1, ..Counts::default() });
            }
        }
    }

    fn begin(&mut self, bring: &Arc<Bring>) {
        let (bring, objects) = (Arc::clone(bring), std::mem::take(&mut self.gathered));
        self.gathered_since = None;
        self.workers.spawn(async move { bring.bring(objects).await });
    }

    fn end(&mut self, brought: Result<Brought, JoinError>) {
        match brought {
            Ok(brought) => brought.into_iter().for_each(|(object, fate)| self.end_one(&object, fate)),
            Err(error) => self.failure = Some(error.to_string()),
        }
    }

    fn end_one(&mut self, object: &Notification, fate: Fate) {
        let key = &object.object_key;
        let none = Counts::default();
        let counts = match fate {
            Fate::Stored => Counts { replayed: Tally::of(object), ..none },
            Fate::Resend => Counts { resends: 1, ..none },
            Fate::InHand => Counts { in_hand: 1, ..none },
            Fate::Unreadable(reason) => {
                self.progress.say(&format!("cannot be read: {key}: {reason}"));
                Counts { unreadable: 1, ..none }
            }
            // Both stay open, so that a checkpoint does not pass them.
            Fate::Unstored(reason) => {
                self.progress.say(&format!("not stored: {key}: {reason}"));
                self.failure = Some(reason);
                return;
            }
            Fate::Interrupted => return,
        };
        if let Some(ticket) = self.tickets.remove(key) {
            self.count(ticket, counts);
        }
    }

    fn count(&mut self, ticket: Ticket, counts: Counts) {
        self.in_flight.end(ticket, counts);
        self.progress.add(counts);
    }

    /// Ends what has begun, if that does not take longer than `at_most`. Batches that are left are taken up by a consumer,
    /// or by the next run.
    async fn drain(&mut self, at_most: Duration) {
        let deadline = tokio::time::Instant::now() + at_most;
        while let Ok(Some(brought)) = tokio::time::timeout_at(deadline, self.workers.join_next()).await {
            self.end(brought);
        }
        self.workers.abort_all();
    }
}

/// How many there are to come; counted beside the work.
fn counted(
    selection: Selection,
    source: Objects,
    done: Option<ObjectKey>,
) -> JoinSet<Result<Listing, ObjectError>> {
    let mut count = JoinSet::new();
    count.spawn(async move { selection.count(&source, done.as_ref()).await });
    count
}

/// Finds the objects, no faster than they may be stored.
async fn find(
    selection: Selection,
    source: Objects,
    done: Option<ObjectKey>,
    throttle: Throttle,
    found: mpsc::Sender<Result<Found, ObjectError>>,
) {
    let objects = selection.find(&source, done.as_ref(), DESCRIPTIONS);
    let mut objects = std::pin::pin!(objects);
    loop {
        let object = match objects.try_next().await {
            Ok(Some(object)) => Ok(object),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        if let Ok(Found::Wanted(notification)) = &object {
            throttle.admit(notification.object_key.spans()).await;
        }
        let is_last = object.is_err();
        if found.send(object).await.is_err() || is_last {
            return;
        }
    }
}

/// The disk is waited for in place: nothing else of the replay is urgent.
fn save(checkpoint: &mut Option<Checkpoint>, done: &Done) -> Result<(), CheckpointError> {
    match checkpoint {
        Some(checkpoint) => tokio::task::block_in_place(|| checkpoint.save(done)),
        None => Ok(()),
    }
}
