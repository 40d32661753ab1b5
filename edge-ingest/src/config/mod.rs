//! The Worker's configuration: variables and secrets, all of them optional but the two that say whom to notify and how
//! to sign. Documented in docs/edge.md.

mod variables;

use std::fmt;
use std::time::Duration;

use spillway_proto::TenantId;
use spillway_proto::otlp::Encoding;
use spillway_proto::trace_context::TraceContext;

pub use self::variables::ConfigError;
use self::variables::{Variables, wrong};
use crate::discard::DiscardConfig;
use crate::mesh::breaker::BreakerPolicy;
use crate::mesh::link::LinkPolicy;
use crate::mesh::retry::RetryPolicy;

const CANARY_TENANT: &str = "CANARY_TENANT";
const MAX_BODY_BYTES: &str = "MAX_BODY_BYTES";
const MAX_DECOMPRESSED_BYTES: &str = "MAX_DECOMPRESSED_BYTES";
const MAX_JSON_BYTES: &str = "MAX_JSON_BYTES";

/// What the edge is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// `ROLE`: `ingress` (default), or `operator` for the Worker behind the binding `METRICS`.
    pub role: Role,
    /// What a body may be.
    pub body: BodyConfig,
    /// How much is read of bodies that nobody wants.
    pub discard: DiscardConfig,
    /// `ALLOW_KEY_IN_QUERY`: whether `?key=` is looked at. Default false, since URLs are logged along the way.
    pub allow_key_in_query: bool,
    /// How key records are had.
    pub keys: KeyConfig,
    /// How limits and quotas are kept.
    pub allowance: AllowanceConfig,
    /// `PUT_TIMEOUT_MS`: how long R2 may take for an object, tries included, before the exporter is told to come back.
    /// Default 5000.
    pub put: LinkPolicy,
    /// How the origin is notified.
    pub notify: NotifyConfig,
    /// How the edge tells of itself.
    pub telemetry: TelemetryConfig,
    /// `CANARY_TENANT`: whose span the cron's canary is. Default: `OPERATOR_TENANT`.
    pub canary_tenant: TenantId,
}

/// What a Worker is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It takes exports.
    Ingress,
    /// It takes what an ingress tells of itself.
    Operator,
}

/// What a body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyConfig {
    /// `MAX_BODY_BYTES`: the largest body as sent. Default 8 MiB: an isolate has 128 MB for all of its requests.
    pub max_bytes: usize,
    /// `BODY_TIMEOUT_MS`: how long a client may take to send it. Default 30000.
    pub timeout: Duration,
    /// `MAX_BODIES_BYTES`: what an isolate holds of all bodies at a time, as sent. More are told to come back. Default 32 MiB.
    pub max_in_hand: usize,
    /// `MAX_DECOMPRESSED_BYTES`: the largest body after decompression. Default 16 MiB.
    pub max_decompressed_bytes: usize,
    /// `MAX_JSON_BYTES`: the largest JSON after decompression; what it becomes takes several times as much. Default 8 MiB.
    pub max_json_bytes: usize,
}

impl BodyConfig {
    /// The limit of a body as it is sent.
    pub fn sent_limit(&self) -> SizeLimit {
        SizeLimit { variable: MAX_BODY_BYTES, max_bytes: self.max_bytes }
    }

    /// The limit of a body of `encoding` after decompression.
    pub fn decompressed_limit(&self, encoding: Encoding) -> SizeLimit {
        if encoding == Encoding::Json && self.max_json_bytes < self.max_decompressed_bytes {
            SizeLimit { variable: MAX_JSON_BYTES, max_bytes: self.max_json_bytes }
        } else {
            SizeLimit { variable: MAX_DECOMPRESSED_BYTES, max_bytes: self.max_decompressed_bytes }
        }
    }
}

/// A limit of a body's size, as a refusal names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeLimit {
    /// The variable that sets it.
    pub variable: &'static str,
    /// The most bytes.
    pub max_bytes: usize,
}

impl fmt::Display for SizeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: usize = 1 << 20;
        let Self { variable, max_bytes } = self;
        match max_bytes {
            bytes if bytes.is_multiple_of(MIB) => {
                write!(f, "{bytes} bytes ({} MiB, {variable})", bytes / MIB)
            }
            bytes => write!(f, "{bytes} bytes ({variable})"),
        }
    }
}

/// How key records are had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyConfig {
    /// How long they are remembered.
    pub cache: KeyCacheConfig,
    /// `KEYS_TIMEOUT_MS`: what one look-up in KV, or by the binding `AUTH`, may take. Default 2000.
    pub link: LinkPolicy,
}

/// How long an isolate remembers key records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCacheConfig {
    /// `KEY_CACHE_SECONDS`: a record. Default 60.
    pub fresh: Duration,
    /// `KEY_MISS_SECONDS`: that a key is not known. Default 5.
    pub miss: Duration,
    /// `KEY_STALE_SECONDS`: a record, while the key store cannot be asked. Default 3600.
    pub stale: Duration,
}

/// How limits and quotas are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllowanceConfig {
    /// `ALLOWANCE_TIMEOUT_MS`: what the tenant's Durable Object may take to answer. Default 1000.
    pub link: LinkPolicy,
    /// `RATE_LIMITS_ON_FAULT`: what holds while the object cannot be asked and the last lease is spent. Default `open`.
    pub rates_on_fault: OnFault,
    /// `QUOTAS_ON_FAULT`: as above, while the month's usage is not known. Default `open`.
    pub quotas_on_fault: OnFault,
}

/// What becomes of requests while a limit cannot be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFault {
    /// They are taken.
    Open,
    /// They are answered 503.
    Closed,
}

/// How the origin is notified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyConfig {
    /// `NOTIFY_TRANSPORT` (`http`, `queue` or `binding`), and `NOTIFY_URL`, which `http` requires.
    pub primary: Destination,
    /// `NOTIFY_FALLBACK` (`none`, `http`, `queue` or `binding`), and `NOTIFY_FALLBACK_URL`: where a notification goes that
    /// the first one did not take.
    pub fallback: Option<Destination>,
    /// `NOTIFY_SIGNING_KEY`: the secret that the origin verifies with, 32 bytes or more. Required.
    pub signing_key: SigningKey,
    /// `NOTIFY_TIMEOUT_MS` (default 5000, at most 10000), `NOTIFY_ATTEMPTS` (3), `NOTIFY_BACKOFF_MS` (100),
    /// `NOTIFY_BACKOFF_CAP_MS` (2000).
    pub link: LinkPolicy,
}

/// Where notifications go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// By HTTP to this URL.
    Http(String),
    /// Into the Cloudflare Queue of the binding `NOTIFICATIONS`.
    Queue,
    /// To the Worker behind the binding `NOTIFY`.
    Binding,
}

impl Destination {
    /// The transport's name, for metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Queue => "queue",
            Self::Binding => "binding",
        }
    }
}

/// How the edge tells of itself, where the binding `METRICS` is there.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryConfig {
    /// `TRACE_SAMPLE_RATIO`: how many of the requests without a sampled `traceparent` are traced, 0 to 1. Default 0.
    pub sample_ratio: f64,
    /// `TELEMETRY_INTERVAL_MS`: how long counts and spans are gathered, and what was stored waits to be settled. Default
    /// 1000.
    pub interval: Duration,
    /// `OPERATOR_TENANT`: whose spans those about Spillway itself are. Default `spillway-operator`.
    pub operator: TenantId,
    /// What the Worker behind the binding may take.
    pub link: LinkPolicy,
}

impl TelemetryConfig {
    /// Whether a request of `tenant` is traced: what tells of the operator is not told of.
    pub fn traces(&self, context: &TraceContext, tenant: &TenantId) -> bool {
        context.sampled && *tenant != self.operator
    }
}

/// A secret that does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(String);

impl SigningKey {
    fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The secret's bytes.
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl Config {
    /// Reads the configuration; `variable` looks a variable or secret up by its name.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let vars = Variables(variable);
        let backoff = |attempts| RetryPolicy {
            attempts,
            base: Duration::from_millis(100),
            cap: Duration::from_secs(2),
        };
        // `BREAKER_FAILURES` (5) and `BREAKER_SECONDS` (30).
        let breaker = Some(BreakerPolicy {
            failures: vars.number("BREAKER_FAILURES", 5, 1, 1_000)?,
            open_for: vars.seconds("BREAKER_SECONDS", 30, 1, 3_600)?,
        });
        let link = |timeout, attempts| LinkPolicy { timeout, retry: backoff(attempts), breaker };
        let on_fault = [("open", OnFault::Open), ("closed", OnFault::Closed)];
        Ok(Self {
            role: vars.choice("ROLE", &[("ingress", Role::Ingress), ("operator", Role::Operator)])?,
            body: BodyConfig {
                max_bytes: vars.number(MAX_BODY_BYTES, 8 << 20, 1, 100 << 20)?,
                max_in_hand: vars.number("MAX_BODIES_BYTES", 32 << 20, 1, 100 << 20)?,
                timeout: vars.millis("BODY_TIMEOUT_MS", 30_000, 100, 600_000)?,
                max_decompressed_bytes: vars.number(MAX_DECOMPRESSED_BYTES, 16 << 20, 1, 100 << 20)?,
                max_json_bytes: vars.number(MAX_JSON_BYTES, 8 << 20, 1, 100 << 20)?,
            },
            discard: DiscardConfig {
                max_bytes: vars.number("MAX_DISCARDED_BYTES", 100 << 20, 0, 500 << 20)?,
                timeout: vars.millis("DISCARD_TIMEOUT_MS", 30_000, 0, 600_000)?,
                at_once: vars.number("MAX_DISCARDS", 64, 0, 10_000)?,
            },
            allow_key_in_query: vars.boolean("ALLOW_KEY_IN_QUERY")?,
            keys: KeyConfig {
                cache: KeyCacheConfig {
                    fresh: vars.seconds("KEY_CACHE_SECONDS", 60, 0, 3_600)?,
                    miss: vars.seconds("KEY_MISS_SECONDS", 5, 0, 3_600)?,
                    stale: vars.seconds("KEY_STALE_SECONDS", 3_600, 0, 86_400)?,
                },
                link: link(vars.millis("KEYS_TIMEOUT_MS", 2_000, 1, 10_000)?, 2),
            },
            allowance: AllowanceConfig {
                link: link(vars.millis("ALLOWANCE_TIMEOUT_MS", 1_000, 1, 10_000)?, 1),
                rates_on_fault: vars.choice("RATE_LIMITS_ON_FAULT", &on_fault)?,
                quotas_on_fault: vars.choice("QUOTAS_ON_FAULT", &on_fault)?,
            },
            // No breaker: exporters come back within seconds, and R2 may be there again by then.
            put: LinkPolicy {
                timeout: vars.millis("PUT_TIMEOUT_MS", 5_000, 1, 10_000)?,
                retry: backoff(2),
                breaker: None,
            },
            notify: notify(&vars, breaker)?,
            telemetry: TelemetryConfig {
                sample_ratio: vars.number("TRACE_SAMPLE_RATIO", 0.0, 0.0, 1.0)?,
                interval: vars.millis("TELEMETRY_INTERVAL_MS", 1_000, 10, 10_000)?,
                operator: operator(&vars)?,
                link: link(Duration::from_secs(2), 1),
            },
            canary_tenant: match vars.text(CANARY_TENANT) {
                Some(_) => tenant(&vars, CANARY_TENANT)?,
                None => operator(&vars)?,
            },
        })
    }
}

fn notify(
    vars: &Variables<impl Fn(&str) -> Option<String>>,
    breaker: Option<BreakerPolicy>,
) -> Result<NotifyConfig, ConfigError> {
    #[derive(Clone, Copy)]
    enum Transport {
        Http,
        Queue,
        Binding,
    }
    let transports =
        [("http", Transport::Http), ("queue", Transport::Queue), ("binding", Transport::Binding)];
    let destination = |transport, url: &'static str| {
        Ok(match transport {
            Transport::Http => Destination::Http(vars.url(url)?),
            Transport::Queue => Destination::Queue,
            Transport::Binding => Destination::Binding,
        })
    };
    let fallbacks: Vec<_> = [("none", None)]
        .into_iter()
        .chain(transports.map(|(name, transport)| (name, Some(transport))))
        .collect();
    let fallback = vars.choice("NOTIFY_FALLBACK", &fallbacks)?;
    Ok(NotifyConfig {
        primary: destination(vars.choice("NOTIFY_TRANSPORT", &transports)?, "NOTIFY_URL")?,
        fallback: fallback.map(|transport| destination(transport, "NOTIFY_FALLBACK_URL")).transpose()?,
        signing_key: vars.signing_key("NOTIFY_SIGNING_KEY")?,
        link: LinkPolicy {
            timeout: vars.millis("NOTIFY_TIMEOUT_MS", 5_000, 1, 10_000)?,
            retry: RetryPolicy {
                attempts: vars.number("NOTIFY_ATTEMPTS", 3, 1, 10)?,
                base: vars.millis("NOTIFY_BACKOFF_MS", 100, 1, 10_000)?,
                cap: vars.millis("NOTIFY_BACKOFF_CAP_MS", 2_000, 1, 10_000)?,
            },
            breaker,
        },
    })
}

fn operator(vars: &Variables<impl Fn(&str) -> Option<String>>) -> Result<TenantId, ConfigError> {
    tenant(vars, "OPERATOR_TENANT")
}

/// A tenant's name; the operator's where the variable is not there.
fn tenant(
    vars: &Variables<impl Fn(&str) -> Option<String>>,
    variable: &'static str,
) -> Result<TenantId, ConfigError> {
    let name = vars.text(variable).unwrap_or_else(|| "spillway-operator".to_owned());
    name.parse().map_err(|_| wrong(variable, "the name of a tenant".to_owned(), &name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let required = [
            ("NOTIFY_URL", "https://o.example/v1/traces"),
            ("NOTIFY_SIGNING_KEY", "0123456789abcdef0123456789abcdef"),
        ];
        Config::read(|name| {
            vars.iter()
                .chain(&required)
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn two_variables_suffice() {
        let config = read(&[]).unwrap();
        assert_eq!(config.body.max_bytes, 8 << 20);
        assert!(!config.allow_key_in_query);
        assert_eq!(config.notify.fallback, None);
        assert_eq!(config.telemetry.operator.as_str(), "spillway-operator");
    }

    #[test]
    fn each_encoding_has_its_limit_and_refusals_can_name_it() {
        let named = |vars: &[_], encoding| read(vars).unwrap().body.decompressed_limit(encoding).to_string();
        assert_eq!(named(&[], Encoding::Protobuf), "16777216 bytes (16 MiB, MAX_DECOMPRESSED_BYTES)");
        assert_eq!(named(&[], Encoding::Json), "8388608 bytes (8 MiB, MAX_JSON_BYTES)");
        let narrow = [("MAX_DECOMPRESSED_BYTES", "100000")];
        assert_eq!(named(&narrow, Encoding::Json), "100000 bytes (MAX_DECOMPRESSED_BYTES)");
        assert_eq!(read(&[]).unwrap().body.sent_limit().to_string(), "8388608 bytes (8 MiB, MAX_BODY_BYTES)");
    }

    #[test]
    fn errors_name_variable_and_value() {
        for (name, value) in [
            ("MAX_BODY_BYTES", "-1"),
            ("MAX_BODY_BYTES", "0"),
            ("NOTIFY_TIMEOUT_MS", "10001"),
            ("ALLOW_KEY_IN_QUERY", "yes"),
            ("NOTIFY_URL", "/v1/traces"),
            ("NOTIFY_URL", "localhost:8080"),
            ("NOTIFY_URL", "ftp://o.example"),
            ("NOTIFY_TRANSPORT", "none"),
            ("NOTIFY_FALLBACK", "pigeon"),
            ("RATE_LIMITS_ON_FAULT", "ajar"),
            ("TRACE_SAMPLE_RATIO", "2"),
            ("OPERATOR_TENANT", "a b"),
            ("CANARY_TENANT", "a b"),
            ("ROLE", "proxy"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }

    #[test]
    fn each_transport_asks_for_what_it_needs() {
        let fallback = read(&[("NOTIFY_FALLBACK", "http")]).unwrap_err();
        assert_eq!((fallback.variable, fallback.found.as_str()), ("NOTIFY_FALLBACK_URL", "missing"));
        let queue =
            read(&[("NOTIFY_TRANSPORT", "queue"), ("NOTIFY_URL", ""), ("NOTIFY_FALLBACK", "binding")])
                .unwrap();
        assert_eq!(queue.notify.primary, Destination::Queue);
        assert_eq!(queue.notify.fallback, Some(Destination::Binding));
        assert_eq!(read(&[("NOTIFY_URL", "")]).unwrap_err().variable, "NOTIFY_URL");
    }

    #[test]
    fn the_signing_key_is_never_shown() {
        let error = read(&[("NOTIFY_SIGNING_KEY", "too-short")]).unwrap_err().to_string();
        assert!(error.contains("9 bytes long") && !error.contains("too-short"), "{error}");
        assert!(!format!("{:?}", read(&[]).unwrap()).contains("0123456789abcdef"));
    }
}
