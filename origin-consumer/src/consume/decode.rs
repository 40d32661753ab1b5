//! Step e: decoding, by either way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde::Deserialize;
use spillway_decode::columns::{SpanColumns, Unzip};
use spillway_decode::rows::{RowsError, rows_of};
use spillway_proto::ObjectKey;
use spillway_proto::notification::Notification;
use spillway_proto::otlp::DecompressLimits;
use ulid::Ulid;

use super::resends::Elsewhere;
use crate::failpoints;
use crate::insert::{BatchRows, Rows};
use crate::queue::{Fault, Setback};

/// The part of a batch's spans, as its divisor, by which it is known what the others will take.
const SAMPLE: u64 = 16;
/// Where all are less than so many times those that are decoded, what is known of them comes too late to be of use.
const FEW_TIMES: f64 = 2.0;

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

/// The objects of a batch that can be decoded, and what keeps the others. Memory is taken ahead of the spans for no more than
/// `most_bytes`.
pub(super) fn batch(
    batch_id: Ulid,
    fetched: Vec<(Notification, Bytes)>,
    elsewhere: &Elsewhere,
    decoder: Decoder,
    limits: DecompressLimits,
    columns: SpanColumns,
    most_bytes: u64,
) -> (BatchRows, Vec<Setback>) {
    let mut setbacks = Vec::new();
    let rows = match decoder {
        Decoder::Wire => {
            let (mut columns, mut unzip) = (columns, Unzip::default());
            let mut objects = Vec::with_capacity(fetched.len());
            let mut ahead = Ahead::of(&fetched);
            for (object, bytes) in fetched {
                let first = columns.len() as u32;
                if let Some(times) = ahead.take_times() {
                    columns.expect(times, most_bytes);
                }
                let (stored, holder) = elsewhere.of(&object.object_key);
                match guarded(|| columns.add_object(&object, bytes, limits, stored, &mut unzip)) {
                    Ok(()) => {
                        ahead.decoded.add(&object);
                        let rows = first..columns.len() as u32;
                        match holder.filter(|_| rows.is_empty()) {
                            Some(holder) => setbacks.push(resend(object, holder)),
                            None => objects.push((object.object_key, rows)),
                        }
                    }
                    Err(error) => setbacks.push(setback(object, error)),
                }
            }
            BatchRows { batch_id, objects, rows: Rows::Columns(Arc::new(columns)) }
        }
        Decoder::Prost => {
            let mut objects = Vec::with_capacity(fetched.len());
            for (object, bytes) in fetched {
                let (stored, holder) = elsewhere.of(&object.object_key);
                match guarded(|| rows_of(&object, bytes, limits, stored)) {
                    Ok(rows) => match holder.filter(|_| rows.is_empty()) {
                        Some(holder) => setbacks.push(resend(object, holder)),
                        None => objects.push((object.object_key, rows)),
                    },
                    Err(error) => setbacks.push(setback(object, error)),
                }
            }
            BatchRows::of_each(batch_id, objects)
        }
    };
    (rows, setbacks)
}

/// How much of a batch is decoded, and how much there is.
struct Ahead {
    all: Amount,
    decoded: Amount,
    taken: bool,
}

#[derive(Clone, Copy, Default)]
struct Amount {
    spans: u64,
    payload_bytes: u64,
}

impl Amount {
    fn add(&mut self, object: &Notification) {
        self.spans += u64::from(object.object_key.spans());
        self.payload_bytes = self.payload_bytes.saturating_add(object.payload_bytes);
    }
}

impl Ahead {
    fn of(fetched: &[(Notification, Bytes)]) -> Self {
        let mut all = Amount::default();
        fetched.iter().for_each(|(object, _)| all.add(object));
        Self { all, decoded: Amount::default(), taken: false }
    }

    /// How many times all are what is decoded: told once, when one in [`SAMPLE`] of the spans is. By spans or by bytes,
    /// whichever is less, since one span may be as large as a thousand others.
    fn take_times(&mut self) -> Option<f64> {
        let Self { all, decoded, taken } = self;
        if *taken || decoded.spans == 0 || decoded.spans * SAMPLE < all.spans {
            return None;
        }
        *taken = true;
        let by_spans = all.spans as f64 / decoded.spans as f64;
        let by_bytes = all.payload_bytes as f64 / decoded.payload_bytes.max(1) as f64;
        Some(by_spans.min(by_bytes)).filter(|times| *times >= FEW_TIMES)
    }
}

/// No input is known that makes decoding panic; should there be one, it is its object that pays for it.
fn guarded<T>(decode: impl FnOnce() -> Result<T, RowsError>) -> Result<T, Undecoded> {
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        failpoints::pass("consume::decode");
        decode()
    }));
    match decoded {
        Ok(decoded) => decoded.map_err(|error| Undecoded {
            fault: if error.is_of_a_newer_version() { Fault::Passing } else { Fault::Poison },
            reason: error.to_string(),
        }),
        Err(_) => Err(Undecoded { fault: Fault::Poison, reason: "decoding it panicked".to_owned() }),
    }
}

/// Why an object has no rows.
struct Undecoded {
    /// An object of a newer version of Spillway waits for one that reads it.
    fault: Fault,
    reason: String,
}

fn setback(object: Notification, Undecoded { fault, reason }: Undecoded) -> Setback {
    Setback { object_key: object.object_key, fault, reason }
}

/// Of an object whose every span is another's.
fn resend(object: Notification, of: &ObjectKey) -> Setback {
    let (reason, of) = (format!("a resend of {of}"), of.clone());
    Setback { object_key: object.object_key, fault: Fault::Resend { of }, reason }
}

/// Columns of batches that were stored: their memory serves the next ones, which are about as large.
pub(super) struct Reuse {
    columns: Mutex<Vec<SpanColumns>>,
    most_bytes: u64,
}

impl Reuse {
    /// Keeps no columns that hold more than `most_bytes`.
    pub(super) fn of(most_bytes: u64) -> Self {
        Self { columns: Mutex::default(), most_bytes }
    }

    /// More than so many bytes are given up after their batch.
    pub(super) fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    /// Columns without spans.
    pub(super) fn take(&self) -> SpanColumns {
        self.columns.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Takes back those of a batch that was stored.
    pub(super) fn give(&self, rows: BatchRows) {
        let Rows::Columns(columns) = rows.rows else { return };
        if let Some(mut columns) = Arc::into_inner(columns) {
            columns.clear();
            if columns.size().held as u64 <= self.most_bytes {
                self.columns.lock().unwrap_or_else(PoisonError::into_inner).push(columns);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::samples;

    fn times(of: &[(u32, u64)]) -> Vec<Option<f64>> {
        let object = |&(spans, payload_bytes): &(u32, u64)| {
            (Notification { payload_bytes, ..samples::notification("acme", 0, spans) }, Bytes::new())
        };
        let fetched: Vec<_> = of.iter().map(object).collect();
        let mut ahead = Ahead::of(&fetched);
        let of_each = fetched.iter().map(|(object, _)| {
            let times = ahead.take_times();
            ahead.decoded.add(object);
            times
        });
        of_each.collect()
    }

    #[test]
    fn what_all_will_take_is_told_once_by_the_first_of_them() {
        assert_eq!(times(&[(1, 10)]), [None]);
        assert_eq!(times(&[(4, 10), (4, 10), (8, 20)]), [None, Some(4.0), None]);
        assert_eq!(times(&[(1, 10), (1, 10), (30, 300)]), [None, None, Some(16.0)]);
    }

    #[test]
    fn one_span_as_large_as_many_does_not_make_all_of_them_as_large() {
        assert_eq!(times(&[(1, 1_000), (3, 1_000)]), [None, Some(2.0)]);
        assert_eq!(times(&[(1, u64::MAX), (3, 1)]), [None, None]);
    }
}
