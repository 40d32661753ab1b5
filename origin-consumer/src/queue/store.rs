//! The database behind the queue: opened, with its schema, for those who write and those who read.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use spillway_proto::UnixMillis;

use super::config::{Place, QueueConfig};
use super::executor::{Connection, Executor};
use super::postgres::Postgres;
use super::session::{Session, values};
use super::sqlite::{Sqlite, back_up};
use super::{Queue, QueueError};
use crate::time::after;

const OBJECTS: &str = include_str!("schema/objects.sql");
const OTHERS: &str = include_str!("schema/others.sql");
/// The version of the schema; every change of it is a new one.
pub(super) const SCHEMA_VERSION: u64 = 4;
/// The version before. A ledger of it is brought to this one, in one transaction.
const PREVIOUS_VERSION: u64 = 3;
const FROM_PREVIOUS: [&str; 3] =
    [include_str!("schema/from_3_begin.sql"), OBJECTS, include_str!("schema/from_3_end.sql")];
const VERSION: &str = "schema_version";
const WHOLE_SINCE: &str = "whole_since_ms";
const MADE_AT: &str = "made_at_ms";
const IN_USE_AT: &str = "in_use_at_ms";
/// A ledger that nobody has used for so long may be an older copy of itself, put back.
const UNUSED: Duration = Duration::from_secs(30);
/// The edge's clock may be ahead of ours by so much.
const CLOCKS_APART: Duration = Duration::from_secs(5);

impl Queue {
    /// Says that the ledger is in use. Whoever opens one that has not been for a while cannot tell it from an older copy of
    /// itself, and relies on nothing that it does not say.
    pub async fn note_use(&self, now: UnixMillis) -> Result<(), QueueError> {
        self.store.writer.run(move |session| set_mark(session, IN_USE_AT, now.0)).await
    }

    /// When the ledger was made.
    pub fn made_at(&self) -> UnixMillis {
        self.store.made_at()
    }
}

#[derive(Clone)]
pub(super) struct Store {
    pub(super) writer: Executor,
    pub(super) reader: Executor,
    whole_since_ms: Arc<AtomicU64>,
    made_at: UnixMillis,
}

impl Store {
    pub(super) async fn open(config: &QueueConfig, now: UnixMillis) -> Result<Self, QueueError> {
        let (writer, reader) = match config.place()? {
            Place::File(path) => {
                back_up(&path, PREVIOUS_VERSION)?;
                sqlite(&path)?
            }
            Place::Memory => {
                let only = Executor::start("queue", [Box::new(Sqlite::writer(Path::new(":memory:"))?) as _])?;
                (only.clone(), only)
            }
            Place::Postgres(url) => postgres(url, config.connections)?,
        };
        let (made_at, whole_since) = writer.run(move |session| make_tables(session, now)).await?;
        let whole_since_ms = Arc::new(AtomicU64::new(whole_since));
        Ok(Self { writer, reader, whole_since_ms, made_at: UnixMillis(made_at) })
    }

    /// When this ledger was made.
    pub(super) fn made_at(&self) -> UnixMillis {
        self.made_at
    }

    /// Objects that were received before may have been stored without this ledger telling: it was made later, or has
    /// forgotten them.
    pub(super) fn whole_since(&self) -> UnixMillis {
        UnixMillis(self.whole_since_ms.load(Ordering::Relaxed))
    }

    /// Asks for what another process may have said meanwhile.
    pub(super) async fn read_whole_since(&self) -> Result<(), QueueError> {
        let since = self.reader.run(|session| mark(session, WHOLE_SINCE)).await?;
        self.whole_since_ms.fetch_max(since.unwrap_or_default(), Ordering::Relaxed);
        Ok(())
    }

    /// Says so of all that was received before `since`. Returns what was said before.
    pub(super) async fn set_whole_since(&self, since: UnixMillis) -> Result<UnixMillis, QueueError> {
        let before = self
            .writer
            .run(move |session| {
                let before = mark(session, WHOLE_SINCE)?.unwrap_or_default();
                set_mark(session, WHOLE_SINCE, before.max(since.0))?;
                Ok(before)
            })
            .await?;
        self.whole_since_ms.store(before.max(since.0), Ordering::Relaxed);
        Ok(UnixMillis(before))
    }
}

fn sqlite(path: &Path) -> Result<(Executor, Executor), QueueError> {
    let writer = Executor::start("queue-writer", [Box::new(Sqlite::writer(path)?) as Box<dyn Connection>])?;
    let reader = Executor::start("queue-reader", [Box::new(Sqlite::reader(path)?) as Box<dyn Connection>])?;
    Ok((writer, reader))
}

fn postgres(url: &str, connections: usize) -> Result<(Executor, Executor), QueueError> {
    let connection = || Ok::<_, QueueError>(Box::new(Postgres::new(url)?) as Box<dyn Connection>);
    let writers = (0..connections).map(|_| connection()).collect::<Result<Vec<_>, _>>()?;
    Ok((Executor::start("queue-writer", writers)?, Executor::start("queue-reader", [connection()?])?))
}

/// Makes the tables where there are none, and refuses those of another version. Returns when the ledger was made, and
/// since when it is whole: anew where it was not in use, and then what waits in it may be stored already.
fn make_tables(session: &mut dyn Session, now: UnixMillis) -> Result<(u64, u64), QueueError> {
    let whole = after(now, CLOCKS_APART);
    if session.has_table("marks")? {
        match mark(session, VERSION)?.unwrap_or_default() {
            SCHEMA_VERSION => {}
            PREVIOUS_VERSION => {
                tracing::info!(
                    from = PREVIOUS_VERSION,
                    to = SCHEMA_VERSION,
                    "bringing the ledger's schema up to date"
                );
                FROM_PREVIOUS.iter().try_for_each(|sql| session.execute_all(sql))?;
                set_mark(session, VERSION, SCHEMA_VERSION)?;
                tracing::info!("the ledger's schema is up to date");
            }
            found => return Err(QueueError::Version { found }),
        }
        let in_use_at = mark(session, IN_USE_AT)?.unwrap_or_default();
        set_mark(session, IN_USE_AT, now.0)?;
        if now.0.abs_diff(in_use_at) > UNUSED.as_millis() as u64 {
            session.execute(
                "UPDATE objects SET look_first = 1 WHERE state = 'pending' AND look_first = 0",
                &[],
            )?;
            session
                .execute("UPDATE batches SET look_first = 1 WHERE state = 'open' AND look_first = 0", &[])?;
            let since = mark(session, WHOLE_SINCE)?.unwrap_or_default();
            set_mark(session, WHOLE_SINCE, since.max(whole.0))?;
        }
        let made_at = mark(session, MADE_AT)?.unwrap_or(now.0);
        return Ok((made_at, mark(session, WHOLE_SINCE)?.unwrap_or(whole.0)));
    }
    if session.has_table("objects")? {
        return Err(QueueError::Version { found: 1 });
    }
    session.execute_all(OBJECTS)?;
    session.execute_all(OTHERS)?;
    set_mark(session, VERSION, SCHEMA_VERSION)?;
    set_mark(session, MADE_AT, now.0)?;
    set_mark(session, IN_USE_AT, now.0)?;
    set_mark(session, WHOLE_SINCE, whole.0)?;
    Ok((now.0, whole.0))
}

pub(super) fn mark(session: &mut dyn Session, mark: &str) -> Result<Option<u64>, QueueError> {
    let row = session.query_one("SELECT value FROM marks WHERE mark = $1", values![mark])?;
    row.map(|row| row.number(0)).transpose()
}

pub(super) fn set_mark(session: &mut dyn Session, mark: &str, value: u64) -> Result<(), QueueError> {
    let sql = "INSERT INTO marks (mark, value) VALUES ($1, $2)
               ON CONFLICT (mark) DO UPDATE SET value = excluded.value";
    session.execute(sql, values![mark, value]).map(drop)
}
