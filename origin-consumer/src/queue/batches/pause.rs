//! A pause of inserts: no consumer of this ledger begins one until it is over.
//!
//! A consumer notes that an insert begins, commits, and then reads the pause. `rebuild-table` notes the pause, commits, and then
//! reads which inserts have begun. Each writes before it reads, so at least one of them sees the other. The pause ends at its time:
//! a process that was killed pauses nobody for ever.

use std::time::Duration;

use spillway_proto::UnixMillis;

use super::{Batch, Fence};
use crate::queue::session::{Session, values};
use crate::queue::store::{mark, set_mark};
use crate::queue::{Queue, QueueError, too_far};
use crate::time::before;

const PAUSED_UNTIL: &str = "inserts_paused_until_ms";
/// The clock of a consumer may be behind ours by so much: it inserts for so long after its lease is over here.
const CLOCKS_APART: Duration = Duration::from_secs(5);

impl Queue {
    /// From now until `until` no consumer begins an insert. Durable when it returns; see [`Self::inserts_begun`] for those that
    /// have begun before.
    pub async fn pause_inserts(&self, until: UnixMillis) -> Result<(), QueueError> {
        self.store.writer.run(move |session| set_mark(session, PAUSED_UNTIL, until.0)).await
    }

    /// Ends the pause that lasts until then; one that somebody else has noted since stays.
    pub async fn resume_inserts(&self, until: UnixMillis) -> Result<(), QueueError> {
        let end = move |session: &mut dyn Session| {
            let sql = "UPDATE marks SET value = 0 WHERE mark = $1 AND value = $2";
            session.execute(sql, values![PAUSED_UNTIL, until.0]).map(drop)
        };
        self.store.writer.run(end).await
    }

    /// When the pause is over; nothing where there is none.
    pub async fn inserts_paused_until(&self, now: UnixMillis) -> Result<Option<UnixMillis>, QueueError> {
        let until = self.store.reader.run(|session| mark(session, PAUSED_UNTIL)).await?.unwrap_or_default();
        // One that ends later was noted by a clock that has been set back since.
        Ok((until > now.0 && until <= too_far(now).0).then_some(UnixMillis(until)))
    }

    /// An error while inserts are paused. To be asked after [`Self::begin_insert`], and best before the work for it as well.
    pub async fn refuse_while_paused(&self, now: UnixMillis) -> Result<(), QueueError> {
        match self.inserts_paused_until(now).await? {
            Some(until) => Err(QueueError::Paused(until)),
            None => Ok(()),
        }
    }

    /// Batches whose consumers may be inserting: an insert was begun, and the batch was neither acknowledged nor given back, nor
    /// is its lease over.
    pub async fn inserts_begun(&self, now: UnixMillis) -> Result<u64, QueueError> {
        let (since, far) = (before(now, CLOCKS_APART).0, too_far(now).0);
        let count = move |session: &mut dyn Session| {
            let sql = "SELECT count(*) FROM batches WHERE state = 'open' AND inserts > 0 AND lease_id <> ''
                       AND leased_until_ms > $1 AND leased_until_ms <= $2";
            let row = session.query_one(sql, values![since, far])?.ok_or(QueueError::Closed)?;
            row.number(0)
        };
        self.store.reader.run(count).await
    }

    /// Gives the batch back, to be tried again at `retry_at`: it was put off, which is nobody's failure.
    pub async fn put_off(&self, batch: &Batch, retry_at: UnixMillis) -> Result<(), QueueError> {
        let fence = Fence::of(batch);
        let set = "leased_until_ms = $1, given_back = 1, lease_id = ''";
        self.store.writer.run(move |session| fence.update(session, set, retry_at.0)).await
    }
}
