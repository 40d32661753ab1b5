//! What `origin-consumer replay` is made of: which objects ([`selection`]), how fast ([`rate`]), how far it has come
//! ([`in_flight`], [`checkpoint`]), and what is shown of it ([`progress`], [`totals`]).

pub mod arguments;
pub mod checkpoint;
pub mod in_flight;
pub mod progress;
pub mod range;
pub mod rate;
pub mod selection;
pub mod totals;
