//! `origin-consumer replay`: which objects ([`selection`]), how fast ([`rate`]), to where (`target`), each to its end
//! (`bring`), how far it has come ([`in_flight`], [`checkpoint`]), and what is shown of it ([`progress`], [`totals`]).

pub mod arguments;
mod bring;
pub mod checkpoint;
mod command;
pub mod in_flight;
pub mod progress;
pub mod range;
pub mod rate;
mod run;
pub mod selection;
mod target;
pub mod totals;

pub use arguments::ReplayArgs;
pub use command::{ReplayError, replay};
