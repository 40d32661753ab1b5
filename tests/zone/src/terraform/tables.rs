//! Which blocks, arguments and resource types of a configuration are evaluated, and which cannot change which rules a request meets
//! or which Worker takes it.

/// Blocks of the top level without effect, of which nothing is read.
pub(super) const BLOCKS_WITHOUT_EFFECT: &[&str] = &[
    // How the provider is reached. Rules are evaluated for one zone, which their own `zone_id` names.
    "provider",
    // What Terraform prints.
    "output",
    // What the provider knows. Where something evaluated depends on it, that is refused.
    "data",
    "ephemeral",
    // Warns, and stops nothing.
    "check",
    // Change what Terraform remembers, and not what it applies.
    "import",
    "moved",
];

/// Of `variable`: evaluated are `type`, `default` and `nullable`; the others say how Terraform shows and keeps the value.
pub(super) const VARIABLE: &[&str] =
    &["type", "default", "nullable", "description", "sensitive", "ephemeral", "deprecated"];

/// Of `validation` and `precondition`.
pub(super) const CONDITION: &[&str] = &["condition", "error_message"];

/// The versions of Terraform that may apply it.
pub(super) const TERRAFORM: &[&str] = &["required_version"];

/// `required_providers` is checked; the others say where Terraform keeps its state, and what it tells the provider of itself.
pub(super) const TERRAFORM_BLOCKS: &[&str] = &["required_providers", "backend", "cloud", "provider_meta"];

/// How many labels the blocks have that have any: of the top level, then nested ones.
pub(super) const LABELS: &[(&str, usize)] = &[
    ("resource", 2),
    ("data", 2),
    ("ephemeral", 2),
    ("variable", 1),
    ("output", 1),
    ("provider", 1),
    ("module", 1),
    ("check", 1),
    ("backend", 1),
    ("provider_meta", 1),
    ("provisioner", 1),
];

/// Of each resource that is evaluated: `count` and `for_each` are. The order of `depends_on`, and whose credentials `provider`
/// takes, change nothing of what is applied.
pub(super) const META: &[&str] = &["count", "for_each", "depends_on", "provider"];

/// Whether Terraform may destroy a resource, and in which order it replaces it.
pub(super) const LIFECYCLE: &[&str] = &["create_before_destroy", "prevent_destroy", "replace_triggered_by"];

/// `precondition` is evaluated. `postcondition` is checked after the rules are in force.
pub(super) const LIFECYCLE_BLOCKS: &[&str] = &["precondition", "postcondition"];

/// What is evaluated of a resource type.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Evaluated.
    pub(super) arguments: &'static [&'static str],
    /// Neither rules nor routes depend on them.
    pub(super) without_effect: &'static [&'static str],
    /// Evaluated, or without effect.
    pub(super) blocks: &'static [&'static str],
}

/// Terraform's provider 4 has `rules` as blocks, and `script_name` for the Worker; provider 5 has `rules` as an argument, and
/// `script`.
pub(super) const RULESET: Kind = Kind {
    name: "cloudflare_ruleset",
    arguments: &["zone_id", "kind", "phase", "rules"],
    without_effect: &["name", "description", "shareable_entitlement_name"],
    blocks: &["rules"],
};

const ROUTE_ARGUMENTS: &[&str] = &["zone_id", "pattern", "script", "script_name"];

pub(super) const ROUTE: Kind =
    Kind { name: "cloudflare_workers_route", arguments: ROUTE_ARGUMENTS, without_effect: &[], blocks: &[] };

/// Provider 4's first name of it.
pub(super) const FORMER_ROUTE: Kind =
    Kind { name: "cloudflare_worker_route", arguments: ROUTE_ARGUMENTS, without_effect: &[], blocks: &[] };

/// Cloudflare serves a zone that is not paused.
pub(super) const ZONE: Kind = Kind {
    name: "cloudflare_zone",
    arguments: &["paused"],
    without_effect: &[
        "name",
        "zone",
        "account",
        "account_id",
        "type",
        "plan",
        "jump_start",
        "vanity_name_servers",
    ],
    blocks: &[],
};

/// Requests to a name come to Cloudflare only where its record is proxied.
pub(super) const RECORD: Kind = Kind {
    name: "cloudflare_dns_record",
    arguments: RECORD_ARGUMENTS,
    without_effect: &["ttl", "priority", "data", "comment", "tags", "settings"],
    blocks: &[],
};

/// Provider 4's.
pub(super) const FORMER_RECORD: Kind = Kind {
    name: "cloudflare_record",
    arguments: RECORD_ARGUMENTS,
    without_effect: &["ttl", "priority", "comment", "tags", "allow_overwrite"],
    blocks: &["data", "timeouts"],
};

const RECORD_ARGUMENTS: &[&str] = &["zone_id", "name", "type", "content", "value", "proxied"];

/// The Worker runs beside the simulator, so its code and what it is bound to are not looked at. Its flags decide which way its own
/// requests go. Assets (`assets`) are served before a Worker is called, and a Worker of a dispatch namespace has no route: both are
/// refused.
pub(super) const SCRIPT: Kind = Kind {
    name: "cloudflare_workers_script",
    arguments: &[COMPATIBILITY_FLAGS],
    without_effect: SCRIPT_WITHOUT_EFFECT,
    blocks: SCRIPT_BLOCKS,
};

/// Provider 4's first name of it.
pub(super) const FORMER_SCRIPT: Kind = Kind { name: "cloudflare_worker_script", ..SCRIPT };

pub(super) const VERSION: Kind = Kind {
    name: "cloudflare_worker_version",
    arguments: &[COMPATIBILITY_FLAGS],
    without_effect: &[
        "account_id",
        "worker_id",
        "annotations",
        "bindings",
        "compatibility_date",
        "limits",
        "main_module",
        "main_script_base64",
        "migrations",
        "modules",
        "placement",
        "usage_model",
    ],
    blocks: &[],
};

/// A subdomain of `workers.dev` is another door to the Worker, without the zone's rules.
pub(super) const WORKER: Kind = Kind {
    name: "cloudflare_worker",
    arguments: &["subdomain"],
    without_effect: &["account_id", "name", "logpush", "observability", "tags", "tail_consumers"],
    blocks: &[],
};

pub(super) const COMPATIBILITY_FLAGS: &str = "compatibility_flags";

const SCRIPT_WITHOUT_EFFECT: &[&str] = &[
    "account_id",
    "script_name",
    "name",
    "content",
    "content_file",
    "content_sha256",
    "content_type",
    "module",
    "main_module",
    "body_part",
    "bindings",
    "keep_bindings",
    "compatibility_date",
    "limits",
    "logpush",
    "migrations",
    "observability",
    "annotations",
    "placement",
    "tags",
    "tail_consumers",
    "usage_model",
];

/// Provider 4's bindings.
const SCRIPT_BLOCKS: &[&str] = &[
    "analytics_engine_binding",
    "d1_database_binding",
    "hyperdrive_config_binding",
    "kv_namespace_binding",
    "placement",
    "plain_text_binding",
    "queue_binding",
    "r2_bucket_binding",
    "secret_text_binding",
    "service_binding",
    "webassembly_binding",
];

pub(super) const EVALUATED: &[Kind] =
    &[RULESET, ROUTE, FORMER_ROUTE, ZONE, RECORD, FORMER_RECORD, SCRIPT, FORMER_SCRIPT, VERSION, WORKER];

/// Resources that rules and routes do not depend on; nothing but their provisioners is looked at. The simulator is told where
/// requests come to, where the Worker runs and where the origin is.
pub(super) const RESOURCES_WITHOUT_EFFECT: &[&str] = &[
    "cloudflare_zone_dnssec",
    // Where the Worker stores.
    "cloudflare_r2_bucket",
    "cloudflare_r2_bucket_cors",
    "cloudflare_r2_bucket_event_notification",
    "cloudflare_r2_bucket_lifecycle",
    "cloudflare_r2_bucket_lock",
    "cloudflare_r2_bucket_sippy",
    "cloudflare_workers_kv",
    "cloudflare_workers_kv_namespace",
    "cloudflare_queue",
    "cloudflare_queue_consumer",
    "cloudflare_d1_database",
    "cloudflare_hyperdrive_config",
    // What starts the Worker without a request, and its secrets.
    "cloudflare_worker_cron_trigger",
    "cloudflare_worker_secret",
    "cloudflare_workers_cron_trigger",
    "cloudflare_workers_deployment",
    "cloudflare_workers_secret",
    // The way from Cloudflare to the origin.
    "cloudflare_tunnel",
    "cloudflare_tunnel_config",
    "cloudflare_zero_trust_tunnel_cloudflared",
    "cloudflare_zero_trust_tunnel_cloudflared_config",
    "cloudflare_origin_ca_certificate",
    // Certificates of the zone: exporters' connections are taken for TLS.
    "cloudflare_certificate_pack",
    "cloudflare_total_tls",
    // Accounts, tokens, and what Cloudflare reports.
    "cloudflare_account",
    "cloudflare_account_member",
    "cloudflare_account_token",
    "cloudflare_api_token",
    "cloudflare_healthcheck",
    "cloudflare_logpush_job",
    "cloudflare_logpush_ownership_challenge",
    "cloudflare_notification_policy",
    "cloudflare_notification_policy_webhooks",
    // Values and files that Terraform keeps.
    "local_file",
    "local_sensitive_file",
    "null_resource",
    "random_bytes",
    "random_id",
    "random_integer",
    "random_password",
    "random_pet",
    "random_string",
    "random_uuid",
    "terraform_data",
    "time_rotating",
    "time_sleep",
    "time_static",
    "tls_cert_request",
    "tls_private_key",
    "tls_self_signed_cert",
];
