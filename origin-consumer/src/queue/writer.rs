//! The one thread that writes, and commits what many ask for at once.
//!
//! A durable commit costs a disk sync. Everything that waits when the thread comes round shares one.

use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::QueueError;

/// Writes that wait for the thread; more of them make the callers wait.
const CAPACITY: usize = 4096;
/// Writes that share a commit.
const GROUP: usize = 512;
/// How long another process may hold the write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

type Written = Box<dyn FnOnce(Result<(), QueueError>) + Send>;
type Write = Box<dyn FnOnce(&Connection) -> Written + Send>;

/// Hands work to the thread. The thread ends when the last of these is gone.
#[derive(Clone)]
pub(super) struct Writer(mpsc::Sender<Write>);

impl Writer {
    pub(super) fn start(path: &Path, schema: &'static str) -> Result<Self, QueueError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.execute_batch(schema)?;
        let (sender, receiver) = mpsc::channel(CAPACITY);
        thread::Builder::new()
            .name("queue-writer".to_owned())
            .spawn(move || write_all(&mut connection, receiver))
            .map_err(QueueError::Thread)?;
        Ok(Self(sender))
    }

    /// Runs `work` in a transaction; returns once that is durable. What `work` did is undone where it fails.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let (sender, receiver) = oneshot::channel();
        let write: Write = Box::new(move |connection| {
            let done = in_savepoint(connection, work);
            Box::new(move |committed| {
                // Nobody waits any more when the caller was cancelled; the write stands all the same.
                let _ = sender.send(committed.and(done));
            })
        });
        self.0.send(write).await.map_err(|_| QueueError::Closed)?;
        receiver.await.map_err(|_| QueueError::Closed)?
    }
}

fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, QueueError>,
) -> Result<T, QueueError> {
    connection.execute_batch("SAVEPOINT work")?;
    let done = work(connection);
    let end = if done.is_ok() { "RELEASE work" } else { "ROLLBACK TO work; RELEASE work" };
    connection.execute_batch(end)?;
    done
}

fn write_all(connection: &mut Connection, mut waiting: mpsc::Receiver<Write>) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.blocking_recv_many(&mut group, GROUP) > 0 {
        commit(connection, group.drain(..));
    }
}

fn commit(connection: &mut Connection, group: impl Iterator<Item = Write>) {
    let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        // Dropped unrun: the callers are told that the queue did not take their work.
        Err(error) => return tracing::error!(%error, "the queue could not begin a transaction"),
    };
    let written: Vec<_> = group.map(|write| write(&transaction)).collect();
    let committed = transaction.commit();
    if let Err(error) = &committed {
        tracing::error!(%error, "the queue could not commit");
    }
    for tell in written {
        tell(if committed.is_ok() { Ok(()) } else { Err(QueueError::NotCommitted) });
    }
}
