//! What the ledger says of single objects.

use std::collections::HashMap;

use spillway_proto::ObjectKey;

use super::session::{Session, Value, in_powers, placeholders};
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
            for keys in in_powers(&keys) {
                let list = placeholders(1, keys.len());
                let sql = format!(
                    "SELECT object_key, state, reason, failures FROM objects WHERE object_key IN {list}"
                );
                let values: Vec<Value> = keys.iter().map(|key| key.as_str().into()).collect();
                for row in session.query(&sql, &values)? {
                    let standing = Standing {
                        state: row.text(1)?.to_owned(),
                        reason: row.optional_text(2)?.map(str::to_owned),
                        failures: u32::try_from(row.number(3)?).unwrap_or(u32::MAX),
                    };
                    standings.insert(row.parsed(0)?, standing);
                }
            }
            Ok(standings)
        };
        self.store.reader.run(read).await
    }
}
