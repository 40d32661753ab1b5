//! The threads that write, and commit what many ask for at once.
//!
//! A durable commit costs a disk sync. Everything that waits when a thread comes round shares one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::QueueError;
use super::session::Session;
use crate::failpoints;

/// Transactions that wait for a thread; more of them make the callers wait.
const CAPACITY: usize = 4096;
/// Transactions that share a commit.
const GROUP: usize = 512;
/// Whoever has waited so long is told so: a database that stands still says nothing by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a database.
pub(super) trait Connection: Send {
    /// Runs `work` in a transaction. Where it fails, nothing of it stays; where this fails after `work` did not, that
    /// is not known.
    fn transaction(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Session) -> Result<(), QueueError>,
    ) -> Result<(), QueueError>;
}

/// What a caller wants to be done in a transaction. It may be run more than once: it begins anew where the group that it
/// was in has failed.
trait Job: Send {
    fn run(&mut self, session: &mut dyn Session) -> Result<(), QueueError>;
    fn tell(self: Box<Self>, committed: Result<(), QueueError>);
}

struct Work<F, T> {
    work: F,
    done: Option<T>,
    caller: oneshot::Sender<Result<T, QueueError>>,
}

impl<F, T> Job for Work<F, T>
where
    F: FnMut(&mut dyn Session) -> Result<T, QueueError> + Send,
    T: Send,
{
    fn run(&mut self, session: &mut dyn Session) -> Result<(), QueueError> {
        self.done = Some((self.work)(session)?);
        Ok(())
    }

    fn tell(self: Box<Self>, committed: Result<(), QueueError>) {
        let Self { done, caller, .. } = *self;
        // Nobody waits any more when the caller was cancelled; the work stands all the same.
        let _ = caller.send(committed.and_then(|()| done.ok_or(QueueError::Closed)));
    }
}

/// Hands work to the threads. They end when the last of these is gone.
#[derive(Clone)]
pub(super) struct Executor(mpsc::Sender<Box<dyn Job>>);

impl Executor {
    /// A thread for each connection.
    pub(super) fn start(
        name: &str,
        connections: impl IntoIterator<Item = Box<dyn Connection>>,
    ) -> Result<Self, QueueError> {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        let receiver = Arc::new(Mutex::new(receiver));
        for connection in connections {
            let receiver = Arc::clone(&receiver);
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || work_all(connection, &receiver))
                .map_err(QueueError::Thread)?;
        }
        Ok(Self(sender))
    }

    /// Runs `work` in a transaction; returns once that is durable, or nothing is known of it for too long.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut dyn Session) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let (caller, answer) = oneshot::channel();
        let job = Box::new(Work { work, done: None, caller });
        let answered = timeout(PATIENCE, async {
            self.0.send(job).await.map_err(|_| QueueError::Closed)?;
            answer.await.map_err(|_| QueueError::Closed)?
        });
        let late = |_| QueueError::Store(format!("no answer within {PATIENCE:?}"));
        answered.await.map_err(late)?
    }
}

fn work_all(mut connection: Box<dyn Connection>, jobs: &Mutex<mpsc::Receiver<Box<dyn Job>>>) {
    let mut group = Vec::with_capacity(GROUP);
    loop {
        // Held while it waits, so that one thread at a time takes all that is there.
        let taken = jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv_many(&mut group, GROUP);
        if taken == 0 {
            return;
        }
        commit(connection.as_mut(), &mut group);
    }
}

fn commit(connection: &mut dyn Connection, group: &mut Vec<Box<dyn Job>>) {
    match transaction(connection, &mut |session| group.iter_mut().try_for_each(|job| job.run(session))) {
        Ok(()) => group.drain(..).for_each(|job| job.tell(Ok(()))),
        Err(error) if error.is_of_the_store() => {
            tracing::error!(%error, "the queue could not commit");
            group.drain(..).for_each(|job| job.tell(Err(QueueError::Store(error.to_string()))));
        }
        // One of them asked for what cannot be: the others must not pay for it.
        Err(_) => {
            for mut job in group.drain(..) {
                let alone = transaction(connection, &mut |session| job.run(session));
                job.tell(alone);
            }
        }
    }
}

/// A panic must not end the thread: every other transaction needs it. The transaction is undone as it unwinds.
fn transaction(
    connection: &mut dyn Connection,
    work: &mut dyn FnMut(&mut dyn Session) -> Result<(), QueueError>,
) -> Result<(), QueueError> {
    let done = catch_unwind(AssertUnwindSafe(|| {
        connection.transaction(&mut |session| {
            failpoints::pass("queue::transaction");
            work(session)
        })
    }));
    done.unwrap_or(Err(QueueError::Panicked))
}
