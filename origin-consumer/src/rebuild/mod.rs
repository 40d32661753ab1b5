//! `origin-consumer rebuild-table`: moves a table of the first layout to the present one, beside consumers that run.
//!
//! A partition key cannot be altered, so there is a new table, which is filled and then exchanged for the old one:
//!
//! 1. look: is there anything to move, is there room on the disk, are the rights there (`plan.rs`)
//! 2. make the new tables, out of the statements of the old ones (`ddl.rs`)
//! 3. fill the new table day by day (`fill.rs`): a day is filled into an empty partition, and begun anew if that did not end
//! 4. catch up with what consumers insert meanwhile (`reconcile.rs`): both tables are compared by objects
//! 5. pause the inserts (`pause.rs`), catch up for the last time, and exchange (`exchange.rs`)
//! 6. compare both tables once more, over all objects (`verify.rs`)
//!
//! What was done is seen from the tables themselves; what cannot be seen from them is noted in ClickHouse, beside them
//! (`record.rs`). So a run that was killed at any place is followed by another that goes on.
//!
//! **Exactly once.** The new table is written by this command alone until it is exchanged: by statements whose remains are seen.
//! A statement of an earlier run is ended before anything is looked at. What an object has in either table is its number of rows
//! and the sum of their numbers' hashes, which the projection `by_object` has; of an object that differs, the rows that are
//! missing are copied, by object and number. While inserts are paused, nothing else writes: the tables are the same before they
//! are exchanged. A batch whose first try went into the old table is looked for in the new one by its consumer's next try, which
//! never relies on tokens alone (`insert`), so it does not matter that the new table does not know them.

mod arguments;
mod catalog;
mod command;
mod ddl;
mod exchange;
mod fill;
mod pause;
mod plan;
mod progress;
mod reconcile;
mod record;
mod server;
mod verify;

pub use arguments::RebuildArgs;
pub use command::{RebuildError, rebuild};
pub use ddl::NotMovable;
