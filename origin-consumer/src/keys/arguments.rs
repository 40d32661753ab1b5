//! What `origin-consumer keys` is told on the command line.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use spillway_proto::key_record::Shards;
use spillway_proto::{KeyId, ProjectId, TenantId};

use super::times::{Expires, Month, Span, moment};

/// Make, list, rotate and revoke API keys, and show what a tenant has used
#[derive(Debug, Args)]
#[command(after_help = KEYS_HELP)]
pub struct KeysArgs {
    #[command(subcommand)]
    pub(super) command: KeysCommand,
    /// The configuration file
    #[arg(long = "config", value_name = "FILE", env = "SPILLWAY_CONFIG", global = true)]
    pub(super) file: Option<PathBuf>,
}

const KEYS_HELP: &str = "\
Keys lie in the KV namespace of the edge, under their SHA-256; a key itself is stored nowhere, and shown only once, by
the command that makes it. Only keys, tables and JSON go to standard output.

Examples:
  KEY=$(origin-consumer keys create --tenant acme --project shop --expires 90d --spans-per-month 1000000)
  origin-consumer keys list --tenant acme
  KEY=$(origin-consumer keys rotate --tenant acme --key-id web --overlap 24h)
  origin-consumer keys revoke --tenant acme --key-id web
  origin-consumer keys show-usage --tenant acme --month 2026-11

Configuration: cloudflare.account_id, cloudflare.kv_namespace_id and cloudflare.api_token, whose token needs the account
permission Workers KV Storage: Edit and no other; for show-usage also edge.url and notify.signing_keys. Best give the
secrets in the environment: SPILLWAY_CLOUDFLARE__API_TOKEN, SPILLWAY_NOTIFY__SIGNING_KEYS='[\"...\"]'.

Exit codes: 0 done, 1 failed, 2 the command line or the configuration is wrong, 3 there is no such key or tenant.";

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key, and print it: this once
    #[command(after_help = CREATE_HELP)]
    Create(Box<CreateArgs>),
    /// List keys, without showing them
    List(ListArgs),
    /// Make a key like an old one, which ends after a while
    #[command(after_help = ROTATE_HELP)]
    Rotate(RotateArgs),
    /// Take a key back; its record is kept
    #[command(after_help = REVOKE_HELP)]
    Revoke(RevokeArgs),
    /// Show what a tenant has used of its monthly quotas
    #[command(after_help = USAGE_HELP)]
    ShowUsage(UsageArgs),
}

const CREATE_HELP: &str = "\
Examples:
  KEY=$(origin-consumer keys create --tenant acme)
  origin-consumer keys create --tenant acme --key-id web --allowed-origin https://app.example.com --json
  origin-consumer keys create --tenant acme --record-file limits.json --requests-per-second 500

Limits and quotas are the tenant's: its keys share them, so they should all say the same. A new key is known everywhere
after a minute.";

const ROTATE_HELP: &str = "\
Examples:
  KEY=$(origin-consumer keys rotate --tenant acme --key-id web --new-key-id web-2)
  KEY=$(origin-consumer keys rotate --tenant acme --key-id web --overlap 0s)     # the old one has leaked

The new key has the project, limits, quotas and origins of the old one. Both are good until the old one ends.";

const REVOKE_HELP: &str = "\
Example:
  origin-consumer keys revoke --tenant acme --key-id web

Until it holds everywhere, up to 2 minutes pass: KV takes up to 60 s to show a change, and isolates remember a record for
KEY_CACHE_SECONDS (60).";

const USAGE_HELP: &str = "\
Examples:
  origin-consumer keys show-usage --tenant acme
  origin-consumer keys show-usage --tenant acme --month 2026-10 --json

The edge is asked, which counts what it has stored, some seconds late; months are those of UTC.";

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Whose key it is
    #[arg(long)]
    pub(super) tenant: TenantId,
    /// Which of the tenant's projects its spans belong to
    #[arg(long)]
    pub(super) project: Option<ProjectId>,
    /// What it is called in logs and in these commands [default: a new ULID]
    #[arg(long, value_name = "ID")]
    pub(super) key_id: Option<KeyId>,
    /// What stands in the key after `spw_`: 1 to 16 small letters and digits
    #[arg(long, value_name = "NAME", default_value = "live")]
    pub(super) env: String,
    /// From when on it is good, such as 2027-01-31T00:00:00Z [default: at once]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) not_before: Option<DateTime<Utc>>,
    /// When it ends: a time, a duration from now such as 90d, or `never` [default: never]
    #[arg(long, value_name = "TIME|DURATION")]
    pub(super) expires: Option<Expires>,
    /// A web origin whose pages may use it, such as https://app.example.com, or `*`; may be repeated [default: any]
    #[arg(long = "allowed-origin", value_name = "ORIGIN")]
    pub(super) allowed_origins: Vec<String>,
    /// A record in JSON (fields as in docs/keys.md, `tenant` and `key_id` not needed), over which the options go
    #[arg(long, value_name = "FILE")]
    pub(super) record_file: Option<PathBuf>,
    /// Print an object with the key, the name in KV and the record
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Limits and quotas of the tenant")]
pub(super) struct LimitArgs {
    /// Requests a second [default: 100]
    #[arg(long, value_name = "N")]
    pub(super) requests_per_second: Option<NonZeroU32>,
    /// Requests at once [default: twice the rate]
    #[arg(long, value_name = "N")]
    pub(super) requests_burst: Option<NonZeroU32>,
    /// Spans a second [default: no limit]
    #[arg(long, value_name = "N")]
    pub(super) spans_per_second: Option<NonZeroU32>,
    /// Spans at once [default: twice the rate]
    #[arg(long, value_name = "N")]
    pub(super) spans_burst: Option<NonZeroU32>,
    /// Bytes of request bodies a second [default: no limit]
    #[arg(long, value_name = "N")]
    pub(super) bytes_per_second: Option<NonZeroU32>,
    /// Bytes at once [default: twice the rate]
    #[arg(long, value_name = "N")]
    pub(super) bytes_burst: Option<NonZeroU32>,
    /// By how many Durable Objects the limits are kept, 1 to 16 [default: 1]
    #[arg(long, value_name = "N", value_parser = shards)]
    pub(super) shards: Option<Shards>,
    /// Spans a UTC month [default: no quota]
    #[arg(long, value_name = "N")]
    pub(super) spans_per_month: Option<NonZeroU64>,
    /// Bytes of request bodies a UTC month [default: no quota]
    #[arg(long, value_name = "N")]
    pub(super) bytes_per_month: Option<NonZeroU64>,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Of this tenant only
    #[arg(long)]
    pub(super) tenant: Option<TenantId>,
    /// Also those that are revoked or have expired
    #[arg(long)]
    pub(super) all: bool,
    /// Print an array of objects, with each key's name in KV
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    /// Whose key it is
    #[arg(long)]
    pub(super) tenant: TenantId,
    /// The old key's id
    #[arg(long, value_name = "ID")]
    pub(super) key_id: KeyId,
    /// How long the old key is good from now on
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    pub(super) overlap: Span,
    /// The new key's id [default: a new ULID]
    #[arg(long, value_name = "ID")]
    pub(super) new_key_id: Option<KeyId>,
    /// When the new key ends; required where the old one has an end [default: never]
    #[arg(long, value_name = "TIME|DURATION")]
    pub(super) expires: Option<Expires>,
    /// What stands in the new key after `spw_`: 1 to 16 small letters and digits
    #[arg(long, value_name = "NAME", default_value = "live")]
    pub(super) env: String,
    /// Print an object with the key, the name in KV, the record, and when the old key ends
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// Whose key it is
    #[arg(long)]
    pub(super) tenant: TenantId,
    /// The key's id
    #[arg(long, value_name = "ID")]
    pub(super) key_id: KeyId,
}

#[derive(Debug, Args)]
pub(super) struct UsageArgs {
    /// Whose usage
    #[arg(long)]
    pub(super) tenant: TenantId,
    /// The UTC month, as YYYY-MM [default: this one]
    #[arg(long)]
    pub(super) month: Option<Month>,
    /// Print an object
    #[arg(long)]
    pub(super) json: bool,
}

fn shards(text: &str) -> Result<Shards, String> {
    let count: u8 = text.parse().map_err(|_| format!("must be 1 to {}", Shards::MAX))?;
    Shards::try_from(count)
}
