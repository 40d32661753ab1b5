//! The Worker and its storage without an origin, for what is only between an operator, an exporter and the edge.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use local_stack::edge::{Edge, EdgeOptions, S3Credentials};
use local_stack::keys::{Key, random_secret};
use local_stack::ports::free_port;
use local_stack::stack::BUCKET;
use local_stack::tools::binary;
use tempfile::TempDir;

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
        };
        let edge = Edge::start(folder.path(), free_port()?, options).await?;
        let variables = edge.keys_variables(&signing_key);
        Ok(Self { edge, variables, s3, _folder: folder })
    }

    /// Runs `origin-consumer keys` with the arguments, which spaces separate.
    pub async fn keys(&self, arguments: &str) -> Result<KeysOutput> {
        keys(arguments, &self.variables).await
    }
}

/// What `origin-consumer keys` came to.
#[derive(Debug)]
pub struct KeysOutput {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub said: String,
}

impl KeysOutput {
    /// The standard output, if it succeeded.
    pub fn success(self) -> Result<String> {
        ensure!(self.code == 0, "{self:?}");
        Ok(self.out)
    }

    /// The standard error, if it ended with `code` and put nothing out.
    pub fn failure(self, code: i32) -> Result<String> {
        ensure!(self.code == code && self.out.is_empty(), "{self:?}");
        Ok(self.said)
    }
}

/// Runs `origin-consumer keys` with the arguments, which spaces separate, and with these variables only.
pub async fn keys(arguments: &str, variables: &BTreeMap<String, String>) -> Result<KeysOutput> {
    let mut command = Command::new(binary("origin-consumer")?);
    command.env_clear().envs(variables).arg("keys").args(arguments.split_whitespace());
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(move || command.output()).await??;
    let code = status.code().context("ended by a signal")?;
    Ok(KeysOutput { code, out: String::from_utf8(stdout)?, said: String::from_utf8(stderr)? })
}
