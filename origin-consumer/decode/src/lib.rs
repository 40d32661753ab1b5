//! Step e: from the bytes of an object to what goes into `otel_traces`.
//!
//! By two ways, which give the same: [`columns`] in one pass over the wire, to blocks of ClickHouse's [`native`] format, and
//! [`rows`] by `prost`, row by row, which is the reference.

pub mod columns;
pub mod native;
pub mod rows;
pub mod stored;
