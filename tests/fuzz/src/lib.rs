//! What must hold of each parser of the contract, and of the consumer's two ways to rows, whatever bytes come: one function a parser, which panics where it does
//! not. `libfuzzer/` searches for such bytes; `tests/corpus.rs` replays those that are known.

pub mod api_key;
pub mod columns;
pub mod decompress;
pub mod headers;
pub mod json;
pub mod native;
pub mod object_key;
pub mod record;
pub mod wire;

/// A parser's check: it panics where something does not hold.
pub type Check = fn(&[u8]);

/// All checks, by the names of their fuzz targets and of their folders in `corpus/`.
pub const TARGETS: [(&str, Check); 8] = [
    ("api_key", api_key::check),
    ("columns", columns::check),
    ("decompress", decompress::check),
    ("headers", headers::check),
    ("json", json::check),
    ("object_key", object_key::check),
    ("record", record::check),
    ("wire", wire::check),
];
