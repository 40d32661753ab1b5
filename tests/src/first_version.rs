//! What Spillway 0.1 has stored: `tests/fixtures/version-0.1`.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;
use spillway_proto::ObjectKey;
use spillway_proto::notification::Notification;

/// The rows of all objects, as JSON, one a line.
pub const ROWS: &str = include_str!("../fixtures/version-0.1/rows.jsonl");
/// The ledger, as SQL.
pub const LEDGER: &str = include_str!("../fixtures/version-0.1/ledger.sql");
const OBJECTS: &str = include_str!("../fixtures/version-0.1/objects.jsonl");

/// An object, and what was known of it.
#[derive(Debug, Clone, Deserialize)]
pub struct StoredObject {
    /// What was sent.
    pub name: String,
    /// Its name in the bucket.
    pub key: ObjectKey,
    /// What the bucket kept beside it.
    pub metadata: HashMap<String, String>,
    /// What the edge notified of it.
    pub notification: Notification,
    /// Its state in the ledger.
    pub state: String,
    /// Its content.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// All of them, in the order of their receipt.
pub fn objects() -> Result<Vec<StoredObject>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/version-0.1");
    let object = |line: &str| {
        let mut object: StoredObject = serde_json::from_str(line)?;
        let file = folder.join(format!("{}.otlp", object.name));
        object.bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(object)
    };
    OBJECTS.lines().map(object).collect()
}
