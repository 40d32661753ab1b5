//! The Worker and its storage without an origin, for what is only between an operator, an exporter and the edge.

use std::collections::BTreeMap;

use anyhow::Result;
use local_stack::edge::{Edge, EdgeOptions, S3Credentials};
use local_stack::keys::{Key, random_secret};
use local_stack::ports::free_port;
use local_stack::stack::BUCKET;
use tempfile::TempDir;

use crate::command::{CommandOutput, origin_consumer};

/// A running edge.
pub struct LoneEdge {
    /// The Worker, and the stand-in for the API that its keys are managed by.
    pub edge: Edge,
    /// Variables of `origin-consumer keys`.
    pub variables: BTreeMap<String, String>,
    /// For R2's S3 interface.
    pub s3: S3Credentials,
    // Dropped last, after the process that writes there.
    _folder: TempDir,
}

impl LoneEdge {
    /// An edge that knows `keys`, with further variables.
    pub async fn start(keys: &[Key], vars: &[(&str, &str)]) -> Result<Self> {
        let folder = TempDir::with_prefix("spillway-test-")?;
        let signing_key = random_secret()?;
        let mut edge_vars = BTreeMap::from([
            // Nobody listens there: what is stored is not what these tests ask for.
            ("NOTIFY_URL".to_owned(), "http://127.0.0.1:9/v1/traces".to_owned()),
            ("NOTIFY_SIGNING_KEY".to_owned(), signing_key.clone()),
        ]);
        edge_vars.extend(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let s3 = S3Credentials { access_key_id: random_secret()?, secret_access_key: random_secret()? };
        let options = EdgeOptions {
            vars: &edge_vars,
            keys,
            bucket: BUCKET,
            s3: &s3,
            notification_queue: None,
            metrics: false,
            services: &BTreeMap::new(),
            without: &[],
            outbound: None,
        };
        let edge = Edge::start(folder.path(), free_port()?, options).await?;
        let variables = edge.keys_variables(&signing_key);
        Ok(Self { edge, variables, s3, _folder: folder })
    }

    /// Runs `origin-consumer keys` with the arguments, which spaces separate.
    pub async fn keys(&self, arguments: &str) -> Result<CommandOutput> {
        keys(arguments, &self.variables).await
    }
}

/// Runs `origin-consumer keys` with the arguments, which spaces separate, and with these variables only.
pub async fn keys(arguments: &str, variables: &BTreeMap<String, String>) -> Result<CommandOutput> {
    origin_consumer(&format!("keys {arguments}"), variables).await
}
