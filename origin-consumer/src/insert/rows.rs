//! The rows of a batch, in either of the forms that decoding gives.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use spillway_decode::columns::SpanColumns;
use spillway_decode::rows::SpanRow;
use spillway_proto::ObjectKey;
use ulid::Ulid;

use super::hash_of_rows;
use crate::queue::StoredRows;

/// The rows of a batch.
pub struct BatchRows {
    /// The batch's id; the deduplication tokens begin with it.
    pub batch_id: Ulid,
    /// The objects of the manifest, and which of the rows are theirs.
    pub objects: Vec<(ObjectKey, Range<u32>)>,
    /// The rows; a row is known by its place, from 0.
    pub rows: Rows,
}

/// Rows, as they were decoded.
pub enum Rows {
    /// Columns, on the hot path. They are shared with the thread that writes them.
    Columns(Arc<SpanColumns>),
    /// Row by row, as `prost` has decoded them.
    Each(Vec<SpanRow>),
}

impl BatchRows {
    /// Of rows, by their objects.
    pub fn of_each(batch_id: Ulid, decoded: Vec<(ObjectKey, Vec<SpanRow>)>) -> Self {
        let mut objects = Vec::with_capacity(decoded.len());
        let mut rows = Vec::with_capacity(decoded.iter().map(|(_, rows)| rows.len()).sum());
        for (key, of_object) in decoded {
            let first = place(rows.len());
            rows.extend(of_object);
            objects.push((key, first..place(rows.len())));
        }
        Self { batch_id, objects, rows: Rows::Each(rows) }
    }

    /// The keys of its objects.
    pub(crate) fn keys(&self) -> Vec<ObjectKey> {
        self.objects.iter().map(|(key, _)| key.clone()).collect()
    }

    /// The objects whose rows are not those from 0 on to their spans.
    pub fn unusual(&self) -> Vec<StoredRows> {
        let numbers = |rows: &Range<u32>| rows.clone().map(|row| self.rows.row_no(row));
        let unusual = self.objects.iter().filter(|(key, rows)| {
            rows.len() != key.spans() as usize
                || numbers(rows).zip(0..).any(|(number, place)| number != place)
        });
        unusual
            .map(|(key, rows)| StoredRows {
                object_key: key.clone(),
                rows: rows.len() as u64,
                hash: hash_of_rows(numbers(rows)),
            })
            .collect()
    }

    /// How many spans were repaired, by tenant and by the repair's code.
    pub(crate) fn repaired(&self) -> BTreeMap<(String, &'static str), u64> {
        match &self.rows {
            Rows::Columns(columns) => columns.repaired(),
            Rows::Each(rows) => {
                let mut repaired = BTreeMap::new();
                for row in rows {
                    for code in &row.repairs {
                        *repaired.entry((row.tenant_id.to_string(), *code)).or_default() += 1;
                    }
                }
                repaired
            }
        }
    }

    /// How many bytes of memory the rows take, as far as that is known.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.rows {
            Rows::Columns(columns) => columns.size().used as u64,
            Rows::Each(_) => 0,
        }
    }

    /// How many rows there are.
    pub(crate) fn count(&self) -> usize {
        self.objects.iter().map(|(_, rows)| rows.len()).sum()
    }

    pub(super) fn all(&self) -> Vec<u32> {
        let mut all = Vec::with_capacity(self.count());
        all.extend(self.objects.iter().flat_map(|(_, rows)| rows.clone()));
        all
    }

    /// The object of a row, and its number there.
    pub fn origin(&self, row: u32) -> Option<(&ObjectKey, u32)> {
        let object = self.objects.iter().find(|(_, rows)| rows.contains(&row));
        object.map(|(key, _)| (key, self.rows.row_no(row)))
    }
}

/// A batch has not so many rows; the memory for them would not be there.
fn place(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}

impl Rows {
    /// The number of a row in its object.
    pub(super) fn row_no(&self, row: u32) -> u32 {
        match self {
            Self::Columns(columns) => columns.row_no(row as usize),
            Self::Each(rows) => rows[row as usize].row_no,
        }
    }

    /// When the span began, in nanoseconds since the Unix epoch.
    pub(super) fn timestamp(&self, row: u32) -> i64 {
        match self {
            Self::Columns(columns) => columns.timestamp(row as usize),
            Self::Each(rows) => rows[row as usize].timestamp,
        }
    }

    /// The tenant whose span it is.
    pub(super) fn tenant_id(&self, row: u32) -> String {
        match self {
            Self::Columns(columns) => String::from_utf8_lossy(columns.tenant_id(row as usize)).into_owned(),
            Self::Each(rows) => rows[row as usize].tenant_id.to_string(),
        }
    }

    /// The id of its trace, in hex.
    pub(super) fn trace_id(&self, row: u32) -> String {
        match self {
            Self::Columns(columns) => hex::encode(columns.trace_id(row as usize)),
            Self::Each(rows) => rows[row as usize].trace_id.clone(),
        }
    }
}
