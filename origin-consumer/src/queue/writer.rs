//! The one thread that writes, and commits what many ask for at once.
//!
//! A durable commit costs a disk sync. Everything that waits when the thread comes round shares one.

use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::QueueError;

const SCHEMA: &str = include_str!("schema.sql");
/// The version of the schema; every change of it is a new one.
pub(super) const SCHEMA_VERSION: u32 = 1;
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
    pub(super) fn start(path: &Path) -> Result<Self, QueueError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        make_tables(&mut connection)?;
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

/// Makes the tables in an empty file, and refuses those of another version. SQLite keeps the version in the file.
fn make_tables(connection: &mut Connection) -> Result<(), QueueError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: u32 = transaction.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    if tables == 0 {
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    } else if found != SCHEMA_VERSION {
        return Err(QueueError::Version { found });
    }
    Ok(transaction.commit()?)
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
