//! `origin-consumer keys`: makes, lists, rotates and revokes API keys, and shows what a tenant has used.
//!
//! Each command is the module of its name. Which record a key gets is decided in `record`, without I/O; records lie in
//! `store`, and the edge is asked for usage in `usage`.

mod arguments;
mod create;
mod list;
mod record;
mod revoke;
mod rotate;
mod show_usage;
mod store;
pub(crate) mod times;
mod usage;

use std::path::PathBuf;

use spillway_proto::api_key::{ApiKey, RANDOM_BYTES};
use spillway_proto::{KeyId, TenantId};

pub use arguments::KeysArgs;
pub use record::RecordError;
pub use store::{State, StoreError};
pub(crate) use usage::ask_edge;
pub use usage::{EdgeConfig, UsageError};

use arguments::KeysCommand;
use store::KeyStore;

use crate::config::{Config, ConfigError};
use crate::output;

/// A command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The configuration is wrong.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// The command line is wrong.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// As above.
    #[error("{0}")]
    Usage(String),
    /// The record file cannot be read.
    #[error("--record-file: cannot read {path}: {source}")]
    RecordFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is nothing of that name.
    #[error("there is no {0}; `origin-consumer keys list --all` shows what there is")]
    NotFound(String),
    /// A key of that id is there already.
    #[error(
        "the tenant `{tenant}` has a key `{key_id}` that is {state}: take another id, or rotate that one"
    )]
    Exists {
        /// Whose.
        tenant: String,
        /// Which.
        key_id: String,
        /// What it is good for.
        state: State,
    },
    /// The key cannot be rotated.
    #[error("{0}")]
    NotRotatable(String),
    /// The new key is there, and the old one was not ended.
    #[error("the new key is good, but the old one has no new end yet; rotating did not finish: {0}")]
    OldKeyStays(StoreError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The edge failed.
    #[error(transparent)]
    Edge(#[from] UsageError),
    /// A key was made that nobody has seen.
    #[error("the key `{key_id}` was made and could not be shown ({source}): revoke it, and make another")]
    Unseen {
        /// Which.
        key_id: String,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing can be shown.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] std::io::Error),
    /// The system has no randomness.
    #[error("the system gives no randomness: {0}")]
    Randomness(getrandom::Error),
}

impl KeysError {
    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Record(_) | Self::Usage(_) | Self::RecordFile { .. } => 2,
            Self::NotFound(_) => 3,
            Self::Exists { .. }
            | Self::NotRotatable(_)
            | Self::OldKeyStays(_)
            | Self::Store(_)
            | Self::Edge(_)
            | Self::Unseen { .. }
            | Self::Output(_)
            | Self::Randomness(_) => 1,
        }
    }
}

/// Tells whoever sits before the command, where the log would tell a service's operator.
pub fn report(error: &KeysError) {
    output::note(&format!("error: {error}"));
}

/// Does what the arguments say.
pub async fn run(arguments: KeysArgs) -> Result<(), KeysError> {
    let config = Config::load(arguments.file.as_deref())?;
    config.check_keys()?;
    if let KeysCommand::ShowUsage(_) = &arguments.command {
        config.check_usage()?;
    }
    let store = KeyStore::new(&config.cloudflare)?;
    match arguments.command {
        KeysCommand::Create(arguments) => create::run(&store, &arguments).await,
        KeysCommand::List(arguments) => list::run(&store, &arguments).await,
        KeysCommand::Rotate(arguments) => rotate::run(&store, arguments).await,
        KeysCommand::Revoke(arguments) => revoke::run(&store, &arguments).await,
        KeysCommand::ShowUsage(arguments) => show_usage::run(&store, &config, &arguments).await,
    }
}

/// A key that there has never been.
fn new_key(environment: &str) -> Result<ApiKey, KeysError> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(KeysError::Randomness)?;
    ApiKey::new(environment, random).map_err(|error| KeysError::Usage(format!("--env: {error}")))
}

/// A key as messages call it.
fn called(tenant: &TenantId, key_id: &KeyId) -> String {
    format!("key `{key_id}` of the tenant `{tenant}`")
}
