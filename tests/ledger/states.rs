//! The states of objects and batches against a model, through operations in any order and at any time, also by those who
//! have lost their lease.

mod model;
mod steps;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use origin_consumer::queue::{Batch, ClaimLimits, Queue, QueueConfig, QueueError, Setback};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use rusqlite::Connection;
use spillway_proto::UnixMillis;
use spillway_proto::notification::Notification;

use crate::objects::{LEASE, LIMITS, at, body};
use crate::stores::fast_folder;
use model::Model;
use steps::{OBJECTS, Step, TRIES, WINDOW, any_step};

const CASES: u32 = 64;
const FAILURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ledger/states.regressions");
const CLAIM: ClaimLimits = ClaimLimits { objects: 3, ..LIMITS };
const DELAY: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_secs(5);

/// Requests that each come several times: within the window and after it, by edges of two versions, judged strictly and
/// generously; and one that two projects have sent.
fn objects() -> Vec<Notification> {
    let later = WINDOW.as_millis() as u64 + 1;
    let requests = [
        ("a", &[(0, Some(0)), (1, Some(0)), (later, Some(0))][..]),
        ("b", &[(0, Some(2)), (1, Some(1)), (2, Some(1)), (later, Some(1))]),
        ("c", &[(0, Some(1)), (1, Some(0)), (2, Some(1))]),
        // Without a count they are of the version before.
        ("d", &[(0, None), (1, Some(0)), (2, None), (3, Some(1))]),
    ];
    let mut objects = Vec::new();
    for (request, times) in requests {
        for (millis, rejected) in times {
            let body = body(request).received(at(*millis)).rejected(*rejected);
            objects.push(body.object_with(objects.len() as u128));
        }
    }
    let of_project = body("d").of_project("shop").received(at(2));
    objects.push(of_project.object_with(objects.len() as u128));
    assert_eq!(objects.len(), OBJECTS);
    objects
}

struct Run {
    queue: Queue,
    /// What is in the file, by another way than the queue's own.
    file: Connection,
    objects: Vec<Notification>,
    model: Model,
    /// All that was ever claimed, lost or not.
    claimed: Vec<Batch>,
    now: UnixMillis,
}

impl Run {
    async fn take(&mut self, step: &Step) -> Result<()> {
        let (queue, now) = (&self.queue, self.now);
        match step {
            Step::Wait(millis) => self.now.0 += u64::from(*millis),
            Step::Notify(number) => {
                let object = &self.objects[*number];
                let enqueued = queue.enqueue(object.clone(), now).await?;
                ensure!(enqueued == self.model.enqueue(object, false, now), "{enqueued:?}");
            }
            Step::Sweep(numbers) => {
                let mut found: Vec<_> = numbers.iter().map(|number| self.objects[*number].clone()).collect();
                // Of several at once the first by key holds the request.
                found.sort_by_key(|object| object.object_key.to_string());
                let expected = self.model.enqueue_all(&found.iter().collect::<Vec<_>>(), false, now);
                let enqueued = queue.sweep_in(found, now).await?;
                ensure!(enqueued == expected, "{enqueued:?}, not {expected:?}");
            }
            Step::Claim { waits } => {
                let limits = ClaimLimits { delay: if *waits { DELAY } else { Duration::ZERO }, ..CLAIM };
                let claim = queue.claim(limits, now).await?;
                self.model.claim(&claim, limits, now)?;
                self.claimed.extend(claim.batch());
            }
            Step::Adopt(numbers) => {
                let asked: Vec<_> = numbers.iter().map(|number| self.objects[*number].clone()).collect();
                let adopted = queue.adopt(asked.clone(), LEASE, now).await?;
                self.model.adopt(&asked, &adopted, LEASE, now)?;
                self.claimed.extend(adopted.batch);
            }
            Step::RetryDead(number) => {
                let object = &self.objects[*number];
                let retried = queue.retry_dead(&object.object_key, now).await?;
                ensure!(retried == self.model.retry_dead(object, now), "{retried}");
            }
            Step::Discard(number) => {
                let key = &self.objects[*number].object_key;
                let discarded = queue.discard(key, "nobody wants it".to_owned(), now).await?;
                ensure!(discarded == self.model.discard(key), "{discarded}");
            }
            Step::Audit(number, finding) => {
                let found = vec![(self.objects[*number].object_key.clone(), *finding)];
                queue.note_audit(found.clone(), now, AGAIN, now).await?;
                self.model.audit(&found[0].0, *finding, now, AGAIN);
            }
            Step::Expire(number) => {
                let key = self.objects[*number].object_key.clone();
                queue.expired(vec![key.clone()], now).await?;
                self.model.expire(&key);
            }
            Step::Work(which, work) if !self.claimed.is_empty() => {
                let batch = self.claimed[which % self.claimed.len()].clone();
                self.work(&batch, work).await?;
            }
            Step::Work(..) => {}
        }
        Ok(())
    }

    async fn work(&mut self, batch: &Batch, work: &steps::Work) -> Result<()> {
        let (queue, now) = (&self.queue, self.now);
        let done = match work {
            steps::Work::BeginInsert => queue.begin_insert(batch, UnixMillis(now.0 + 20_000)).await,
            steps::Work::BeginAlone => queue.begin_alone(batch).await,
            steps::Work::Renew => queue.renew(batch, UnixMillis(now.0 + 20_000)).await,
            steps::Work::Ack => queue.ack(batch, now).await,
            steps::Work::Release(millis) => {
                queue.release(batch, UnixMillis(now.0 + u64::from(*millis)), "down".to_owned()).await
            }
            steps::Work::Split => queue.split(batch, now).await,
            steps::Work::SetBack(faults) => {
                let setbacks = self.setbacks(batch, faults);
                queue.set_back(batch, setbacks, TRIES, now).await.map(drop)
            }
        };
        let is_ours = match done {
            Ok(()) => true,
            Err(QueueError::LeaseLost(_)) => false,
            Err(error) => return Err(error.into()),
        };
        ensure!(is_ours == self.model.holds(batch), "the fence of {} let through: {is_ours}", batch.id);
        if is_ours {
            let setbacks = match work {
                steps::Work::SetBack(faults) => self.setbacks(batch, faults),
                _ => Vec::new(),
            };
            let halves = match work {
                steps::Work::Split => model::batches_in(&self.file)?,
                _ => Vec::new(),
            };
            self.model.work(batch, work, &setbacks, &halves, now)?;
        }
        Ok(())
    }

    fn setbacks(&self, batch: &Batch, faults: &[Option<origin_consumer::queue::Fault>]) -> Vec<Setback> {
        let of = |(object, fault): (&origin_consumer::queue::Claimed, &Option<_>)| {
            let object_key = object.notification.object_key.clone();
            fault.clone().map(|fault| Setback { object_key, fault, reason: "broken".to_owned() })
        };
        batch.objects.iter().zip(faults).filter_map(of).collect()
    }
}

async fn run(all: &[Step]) -> Result<()> {
    let folder = fast_folder()?;
    let path = folder.path().join("queue.sqlite");
    let config = QueueConfig {
        url: format!("sqlite:{}", path.display()).into(),
        resend_window_seconds: WINDOW.as_secs(),
        ..QueueConfig::default()
    };
    let (queue, model) = (Queue::open(&config).await?, Model::default());
    let (file, now) = (Connection::open(&path)?, at(1_000_000));
    let mut run = Run { queue, file, objects: objects(), model, claimed: Vec::new(), now };
    for (number, step) in all.iter().enumerate() {
        let taken = async {
            let before = run.model.clone();
            run.take(step).await?;
            run.model.agrees_with(&run.file)?;
            run.model.follows(&before, step)
        };
        taken.await.with_context(|| format!("step {number}, {step:?}"))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(FAILURES))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn states_are_those_of_the_model(steps in prop::collection::vec(any_step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ended = runtime.block_on(run(&steps));
        prop_assert!(ended.is_ok(), "{:#}", ended.unwrap_err());
    }
}
