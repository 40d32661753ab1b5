//! ClickHouse's Native format: a block of columns, <https://clickhouse.com/docs/interfaces/formats/Native>.
//!
//! It is what the server computes with, so that it costs it a tenth of what rows cost: a text of `LowCardinality` is there
//! once a block, and each row has its number. Columns are kept as the format writes them where that is possible, so that
//! writing a block is copying.
//!
//! How a type is laid out is said beside what writes it; the reference is the server's own code,
//! <https://github.com/ClickHouse/ClickHouse/tree/master/src/DataTypes/Serializations>.

mod block;
mod compress;
mod dictionary;
mod maps;
mod size;
mod texts;

pub use block::{Block, Gone};
pub use compress::Compressor;
pub use dictionary::Dictionary;
pub use maps::{CommonMaps, Maps};
pub use size::{Grows, SLACK, Size};
pub use texts::{Texts, put_number, put_text};
