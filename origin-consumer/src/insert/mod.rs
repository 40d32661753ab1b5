//! Step f: rows into ClickHouse, each of them once.
//!
//! An INSERT carries a deduplication token, so that the server ignores one that it has stored already. That is not
//! enough: it notes the token *before* it makes the part visible, so that a crash between the two turns the next try
//! into a silent nothing. Every try after the first therefore ends the earlier ones, looks at what is there, and
//! inserts what is missing.

mod clickhouse;
mod layout;
mod native;
mod row_hash;
mod rows;
mod schema;
mod trace_times;

use std::collections::{BTreeMap, HashMap, HashSet};

use spillway_proto::ObjectKey;
use spillway_proto::notification::Notification;

pub(crate) use clickhouse::OUR_INSERTS;
pub use clickhouse::{SpanTable, TableError};
pub use layout::{Condition, FIRST_TIMESTAMP, Layout};
pub(crate) use row_hash::hash_of_rows;
pub use rows::{BatchRows, Rows};
pub use schema::SchemaError;

use crate::failpoints;

/// Tokens for rows that are missing under all before them. Each is used up by a crash of the server within milliseconds, so that
/// all of them are only where a table does not keep what it is given.
const HEALING_TOKENS: u32 = 32;
const NANOS_PER_DAY: i64 = 86_400_000_000_000;

/// What may be in the table of a batch before this try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// Earlier tries of this batch that may have left any part of it, or may still be running.
    pub inserts: u32,
    /// Other batches may have stored any part of it, or may be doing so.
    pub look_first: bool,
}

/// One INSERT: rows of one day, which is one partition, so that they become visible at once or not at all.
pub struct Insert<'r> {
    /// The server ignores a second INSERT with the same one.
    pub token: String,
    /// By which it can be ended.
    pub query_id: String,
    /// The batch that its rows are of.
    pub batch: &'r BatchRows,
    /// Their places in it; one at least.
    pub rows: Vec<u32>,
}

/// Where rows go.
#[expect(async_fn_in_trait, reason = "called where the implementation is known")]
pub trait SpanSink {
    /// Why it failed. Any part of an insert may be there all the same, now or later.
    type Error: std::error::Error;

    /// Inserts the rows; returns once they are visible, or were ignored for their token.
    async fn insert(&self, insert: Insert<'_>) -> Result<(), Self::Error>;

    /// Ends the inserts whose `query_id` begins so; returns once they have ended.
    async fn end_inserts(&self, query_ids: &str) -> Result<(), Self::Error>;

    /// Returns once the inserts of other batches that are running now have ended, and so have deletions of replays.
    async fn await_inserts(&self) -> Result<(), Self::Error>;

    /// How many rows of each object are visible; those that have none may be left out.
    async fn counts(&self, keys: &[ObjectKey]) -> Result<HashMap<ObjectKey, u64>, Self::Error>;

    /// The numbers of the visible rows of an object.
    async fn row_numbers(&self, key: &ObjectKey) -> Result<HashSet<u32>, Self::Error>;

    /// Writes again what is derived from the rows: an earlier try may have ended between the two.
    async fn derive(&self, batch: &BatchRows) -> Result<(), Self::Error>;
}

/// A batch was not stored, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum StoreError<E> {
    /// The sink failed.
    #[error(transparent)]
    Sink(#[from] E),
    /// The server says that it has inserted rows, and does not show them, under every token.
    #[error("{0} rows were inserted and are not there")]
    NotThere(usize),
}

/// Stores the batch: when it returns, each of its rows is visible once.
pub async fn store<S: SpanSink>(
    sink: &S,
    batch: &BatchRows,
    before: Before,
) -> Result<(), StoreError<S::Error>> {
    let try_no = before.inserts + 1;
    let is_fresh = before == Before { inserts: 0, look_first: false };
    if is_fresh || failpoints::is_on("insert::trust_tokens") {
        return Ok(insert(sink, batch, batch.all(), try_no, None).await?);
    }
    // A client that went away does not stop its insert.
    sink.end_inserts(&format!("{}.a", batch.batch_id)).await?;
    if before.look_first {
        sink.await_inserts().await?;
    }
    let mut missing = missing(sink, batch).await?;
    // Every try goes through the same tokens in the same order: should an earlier one wake up and go on with an insert that
    // was not yet sent, that one's token is used by then.
    for healing in std::iter::once(None).chain((1..=HEALING_TOKENS).map(Some)) {
        if missing.is_empty() {
            break;
        }
        if let Some(healing) = healing {
            tracing::warn!(batch = %batch.batch_id, rows = missing.len(), healing, "a token without its rows; healing");
        }
        insert(sink, batch, missing, try_no, healing).await?;
        missing = self::missing(sink, batch).await?;
    }
    if !missing.is_empty() {
        return Err(StoreError::NotThere(missing.len()));
    }
    Ok(sink.derive(batch).await?)
}

/// Those of the objects whose rows are all visible.
pub async fn complete<S: SpanSink>(sink: &S, keys: &[ObjectKey]) -> Result<HashSet<ObjectKey>, S::Error> {
    let counts = sink.counts(keys).await?;
    Ok(keys.iter().filter(|key| counts.get(key) == Some(&u64::from(key.spans()))).cloned().collect())
}

/// The objects of the table that hold the same requests as `objects`, received less than `window_ms` before or after: each of
/// `objects` that there are any for, with each of those.
pub async fn same_requests(
    table: &SpanTable,
    objects: &[Notification],
    window_ms: u64,
) -> Result<Vec<(ObjectKey, ObjectKey)>, TableError> {
    let others = table.by_request(objects, window_ms).await?;
    let mut same = Vec::new();
    for object in objects {
        let key = &object.object_key;
        let is_same = |other: &&ObjectKey| {
            let id = other.object_id();
            *other != key
                && (id == key.object_id() || Some(id) == object.previous_id)
                && other.received_at().0.abs_diff(key.received_at().0) <= window_ms
        };
        same.extend(others.iter().filter(is_same).map(|other| (key.clone(), other.clone())));
    }
    Ok(same)
}

async fn insert<S: SpanSink>(
    sink: &S,
    batch: &BatchRows,
    rows: Vec<u32>,
    try_no: u32,
    healing: Option<u32>,
) -> Result<(), S::Error> {
    let mut by_day: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    for row in rows {
        by_day.entry(batch.rows.timestamp(row).div_euclid(NANOS_PER_DAY)).or_default().push(row);
    }
    let (id, healing) = (batch.batch_id, healing.map_or_else(String::new, |healing| format!(".h{healing}")));
    for (day, rows) in by_day {
        let token = format!("{id}.{day}{healing}");
        let query_id = format!("{id}.a{try_no}.{day}{healing}");
        sink.insert(Insert { token, query_id, batch, rows }).await?;
        failpoints::pass("insert::day_inserted");
    }
    Ok(())
}

/// The rows of the batch that are not visible.
async fn missing<S: SpanSink>(sink: &S, batch: &BatchRows) -> Result<Vec<u32>, S::Error> {
    let counts = sink.counts(&batch.keys()).await?;
    let mut missing = Vec::new();
    for (key, rows) in &batch.objects {
        match counts.get(key).copied().unwrap_or(0) {
            0 => missing.extend(rows.clone()),
            stored if stored == rows.len() as u64 => {}
            _ => {
                let stored = sink.row_numbers(key).await?;
                missing.extend(rows.clone().filter(|row| !stored.contains(&batch.rows.row_no(*row))));
            }
        }
    }
    Ok(missing)
}
