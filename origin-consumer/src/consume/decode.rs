//! Step e: decoding, by either way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde::Deserialize;
use spillway_decode::columns::{SpanColumns, Unzip};
use spillway_decode::rows::{RowsError, rows_of};
use spillway_proto::notification::Notification;
use spillway_proto::otlp::DecompressLimits;
use ulid::Ulid;

use crate::failpoints;
use crate::insert::{BatchRows, Rows};
use crate::queue::{Fault, Setback};

/// How objects are decoded, and inserted. Both ways give the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decoder {
    /// In one pass over the wire, into columns; inserted as Native.
    #[default]
    Wire,
    /// By `prost`, row by row; inserted as RowBinary. It takes several times the processor, of the server as well.
    Prost,
}

/// The objects of a batch that can be decoded, and what keeps the others.
pub(super) fn batch(
    batch_id: Ulid,
    fetched: Vec<(Notification, Bytes)>,
    decoder: Decoder,
    limits: DecompressLimits,
    columns: SpanColumns,
) -> (BatchRows, Vec<Setback>) {
    let mut setbacks = Vec::new();
    let rows = match decoder {
        Decoder::Wire => {
            let (mut columns, mut unzip) = (columns, Unzip::default());
            let mut objects = Vec::with_capacity(fetched.len());
            for (object, bytes) in fetched {
                let first = columns.len() as u32;
                match guarded(|| columns.add_object(&object, bytes, limits, &mut unzip)) {
                    Ok(()) => objects.push((object.object_key, first..columns.len() as u32)),
                    Err(reason) => setbacks.push(setback(object, reason)),
                }
            }
            BatchRows { batch_id, objects, rows: Rows::Columns(Arc::new(columns)) }
        }
        Decoder::Prost => {
            let mut objects = Vec::with_capacity(fetched.len());
            for (object, bytes) in fetched {
                match guarded(|| rows_of(&object, bytes, limits)) {
                    Ok(rows) => objects.push((object.object_key, rows)),
                    Err(reason) => setbacks.push(setback(object, reason)),
                }
            }
            BatchRows::of_each(batch_id, objects)
        }
    };
    (rows, setbacks)
}

/// No input is known that makes decoding panic; should there be one, it is its object that pays for it.
fn guarded<T>(decode: impl FnOnce() -> Result<T, RowsError>) -> Result<T, String> {
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        failpoints::pass("consume::decode");
        decode()
    }));
    match decoded {
        Ok(decoded) => decoded.map_err(|error| error.to_string()),
        Err(_) => Err("decoding it panicked".to_owned()),
    }
}

fn setback(object: Notification, reason: String) -> Setback {
    Setback { object_key: object.object_key, fault: Fault::Poison, reason }
}

/// Columns of batches that were stored: their memory serves the next ones, which are about as large.
#[derive(Default)]
pub(super) struct Reuse(Mutex<Vec<SpanColumns>>);

impl Reuse {
    /// Columns without spans.
    pub(super) fn take(&self) -> SpanColumns {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Takes back those of a batch that was stored. Those that hold more than `most_bytes` are given up.
    pub(super) fn give(&self, rows: BatchRows, most_bytes: u64) {
        let Rows::Columns(columns) = rows.rows else { return };
        if let Some(mut columns) = Arc::into_inner(columns) {
            columns.clear();
            if columns.size().held as u64 <= most_bytes {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).push(columns);
            }
        }
    }
}
