//! The Worker in workerd.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use spillway_proto::key_record::KeyRecord;

use crate::keys::{Key, random_secret};
use crate::process::Process;
use crate::tools::{checkout, edge_build, exported};

const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// The date that `wrangler.jsonc` names.
const COMPATIBILITY_DATE: &str = "2026-11-01";

/// R2, as the consumer reaches it.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct S3Credentials {
    /// Of the bucket's one user.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
}

/// Cloudflare's API for the KV namespace of keys, as `kv-api.mjs` stands in for it; not there where the edge lacks `KEYS`.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KvApi {
    /// Its URL, as that of Cloudflare's is written: with the version.
    #[serde(skip)]
    pub url: String,
    /// The account that the namespace is of.
    pub account_id: String,
    /// The namespace's id.
    pub namespace_id: String,
    /// The one token that may do anything.
    pub token: String,
}

impl KvApi {
    fn new() -> Result<Self> {
        Ok(Self {
            url: String::new(),
            account_id: random_secret()?,
            namespace_id: random_secret()?,
            token: random_secret()?,
        })
    }
}

/// A Cloudflare Queue, by its API: where the messages go that the Worker sends to its binding `NOTIFICATIONS`. Miniflare's
/// own queues cannot be pulled from.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationQueue {
    /// Its path `messages/batch`.
    pub push_url: String,
    /// An API token that may write to it.
    pub token: String,
}

/// What the Worker runs with.
pub struct EdgeOptions<'a> {
    /// Its variables.
    pub vars: &'a BTreeMap<String, String>,
    /// The keys that lie in KV.
    pub keys: &'a [Key],
    /// Its bucket.
    pub bucket: &'a str,
    /// For the bucket's S3 interface.
    pub s3: &'a S3Credentials,
    /// Without one, the Worker has no binding `NOTIFICATIONS`.
    pub notification_queue: Option<&'a NotificationQueue>,
    /// Whether the Worker tells of itself, to a second one behind its binding `METRICS`.
    pub metrics: bool,
    /// Further service bindings: the name, and the URL of the HTTP server that stands behind it.
    pub services: &'a BTreeMap<String, String>,
    /// Bindings that are left out: a part of the platform that is out of reach.
    pub without: &'a [&'a str],
    /// Where a simulator of the zone takes what the Worker fetches; without one, it goes where it is for.
    pub outbound: Option<&'a str>,
}

/// What `edge.mjs` is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EdgeConfig<'a> {
    port: u16,
    compatibility_date: &'static str,
    build: PathBuf,
    persist: PathBuf,
    ready: PathBuf,
    vars: &'a BTreeMap<String, String>,
    keys: BTreeMap<String, &'a KeyRecord>,
    bucket: &'a str,
    s3: &'a S3Credentials,
    notification_queue: Option<&'a NotificationQueue>,
    metrics: bool,
    services: &'a BTreeMap<String, String>,
    without: &'a [&'a str],
    outbound: Option<&'a str>,
    kv_api: &'a KvApi,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ready {
    url: String,
    kv_api_url: String,
}

/// A running edge.
pub struct Edge {
    /// Where exporters send.
    pub url: String,
    /// Where its keys are managed.
    pub kv_api: KvApi,
    /// The Worker's process.
    pub process: Process,
}

impl Edge {
    /// Starts the Worker on `port`, with its storage in `folder`.
    pub async fn start(folder: &Path, port: u16, options: EdgeOptions<'_>) -> Result<Self> {
        let EdgeOptions { vars, keys, bucket, s3, notification_queue, metrics, services, without, outbound } =
            options;
        let kv_api = KvApi::new()?;
        let config = EdgeConfig {
            port,
            compatibility_date: COMPATIBILITY_DATE,
            build: edge_build()?,
            persist: folder.join("edge"),
            ready: folder.join("edge-ready.json"),
            vars,
            keys: keys.iter().map(|key| (key.kv_name(), &key.record)).collect(),
            bucket,
            s3,
            notification_queue,
            metrics,
            services,
            without,
            outbound,
            kv_api: &kv_api,
        };
        fs::create_dir_all(folder)?;
        let _ = fs::remove_file(&config.ready);
        let file = folder.join("edge-config.json");
        write_secret(&file, &serde_json::to_vec_pretty(&config)?)?;
        let mut command = Command::new(exported("SPILLWAY_NODE")?);
        // Miniflare's temporary files are then gone with the folder, however it ends.
        command.arg(checkout().join("deploy/local/edge/edge.mjs")).arg(&file).env("TMPDIR", folder);
        let mut process = Process::start("edge", command, folder)?;
        process.ready(READY_TIMEOUT, async || config.ready.exists()).await?;
        let ready: Ready = serde_json::from_slice(&fs::read(&config.ready)?).context("edge-ready.json")?;
        let kv_api = KvApi { url: ready.kv_api_url, ..kv_api };
        Ok(Self { url: ready.url, kv_api, process })
    }

    /// What `origin-consumer keys` is configured with, as variables of its environment.
    pub fn keys_variables(&self, signing_key: &str) -> BTreeMap<String, String> {
        let api = &self.kv_api;
        let variables = [
            ("CLOUDFLARE__API_URL", api.url.clone()),
            ("CLOUDFLARE__ACCOUNT_ID", api.account_id.clone()),
            ("CLOUDFLARE__KV_NAMESPACE_ID", api.namespace_id.clone()),
            ("CLOUDFLARE__API_TOKEN", api.token.clone()),
            ("EDGE__URL", self.url.clone()),
            ("NOTIFY__SIGNING_KEYS", json!([signing_key]).to_string()),
        ];
        variables.into_iter().map(|(name, value)| (format!("SPILLWAY_{name}"), value)).collect()
    }

    /// R2's S3 interface.
    pub fn s3_endpoint(&self) -> String {
        s3_endpoint(&self.url)
    }
}

/// R2's S3 interface, of the edge at `url`.
pub fn s3_endpoint(url: &str) -> String {
    format!("{url}/cdn-cgi/local/r2/s3")
}

/// Writes a file that only its owner may read.
pub fn write_secret(path: &Path, contents: &[u8]) -> Result<()> {
    use std::io::Write;
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(contents)?)
}
