//! What the ledger says of single objects.

use std::collections::HashMap;

use spillway_proto::ObjectKey;

use super::session::{Session, parsed, rows_of};
use super::{Queue, QueueError};

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its state, as the schema names it.
    pub state: String,
    /// Why it was last kept from being stored, if it was.
    pub reason: Option<String>,
    /// Tries that failed by its own fault.
    pub failures: u32,
}

impl Queue {
    /// What the ledger says of these objects; nothing of those that it does not know.
    pub async fn standings(&self, keys: &[ObjectKey]) -> Result<HashMap<ObjectKey, Standing>, QueueError> {
        let keys: Vec<String> = keys.iter().map(ObjectKey::to_string).collect();
        let read = move |session: &mut dyn Session| {
            let mut standings = HashMap::new();
            for (key, row) in rows_of(session, "state, reason, failures", &keys, "")? {
                let standing = Standing {
                    state: row.text(0)?.to_owned(),
                    reason: row.optional_text(1)?.map(str::to_owned),
                    failures: u32::try_from(row.number(2)?).unwrap_or(u32::MAX),
                };
                standings.insert(parsed(&key)?, standing);
            }
            Ok(standings)
        };
        self.store.reader.run(read).await
    }
}
