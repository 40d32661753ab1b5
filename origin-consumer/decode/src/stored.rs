//! Spans that are in the table under another object: a request that was sent again, and was judged more generously.

use std::collections::HashSet;

use bytes::Bytes;
use spillway_proto::otlp::visit::{Judged, SpanFields, Visitor};
use spillway_proto::otlp::{
    DecodeError, DecompressLimits, Mended, RulesVersion, decompress, judge_and_visit,
};
use spillway_proto::record::records_of;
use spillway_proto::{ProjectId, TenantId};

use crate::rows::RowsError;

/// Which spans of an object are not to be stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredElsewhere {
    /// By their positions in the request: they are stored, or will be, under another object.
    pub positions: HashSet<u32>,
    /// By their row numbers: they are stored under this object, which keeps them.
    pub here: HashSet<u32>,
}

impl StoredElsewhere {
    /// Whether the span at this position, whose row has this number, is another object's.
    pub fn has(&self, position: u32, row_no: u32) -> bool {
        self.positions.contains(&position) && !self.here.contains(&row_no)
    }
}

/// The spans of an object that are valid, by their positions in its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidSpans {
    /// Whose they are.
    pub tenant: TenantId,
    /// The project, if there is one.
    pub project: Option<ProjectId>,
    /// By which rules they were judged.
    pub rules: RulesVersion,
    /// In their order.
    pub positions: Vec<u32>,
}

impl ValidSpans {
    /// Those of an object, which holds the requests of one tenant and project.
    pub fn of(object: Bytes, limits: DecompressLimits) -> Result<Self, RowsError> {
        let (mut found, mut first) = (None::<Self>, 0);
        for record in records_of(object)? {
            let payload = decompress(&record.payload, record.compression, limits)?;
            let (mut positions, mended) = (Positions { first, ..Positions::default() }, Mended::default());
            judge_and_visit(
                &payload,
                &record.criteria(),
                &record.transcoding_repairs,
                &mended,
                &mut positions,
            )
            .map_err(DecodeError::from)?;
            first += positions.met;
            match &mut found {
                Some(found) if found.tenant != record.tenant => return Err(RowsError::Tenant),
                Some(found) => found.positions.extend(positions.valid),
                None => {
                    found = Some(Self {
                        tenant: record.tenant,
                        project: record.project,
                        rules: record.rules,
                        positions: positions.valid,
                    });
                }
            }
        }
        found.ok_or(RowsError::Count { expected: 0, found: 0 })
    }

    /// The positions of the rows with these numbers.
    pub fn of_rows(&self, row_numbers: &HashSet<u32>) -> HashSet<u32> {
        match self.rules {
            RulesVersion::V1 => row_numbers
                .iter()
                .filter_map(|row_no| self.positions.get(*row_no as usize).copied())
                .collect(),
            RulesVersion::V2 => row_numbers.clone(),
        }
    }
}

/// Is told which spans are valid.
#[derive(Default)]
struct Positions {
    first: u32,
    met: u32,
    valid: Vec<u32>,
}

impl Visitor<'_> for Positions {
    const WANTS_REPAIRED: bool = false;

    fn span(&mut self, _: &SpanFields<'_>, judged: Judged) {
        self.met += 1;
        if judged.is_valid {
            self.valid.push(self.first + judged.position);
        }
    }
}
