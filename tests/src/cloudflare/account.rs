//! What the account holds: a deployment as it should be, until a test changes it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{ZONE, ZONE_NAME};

/// All permissions of a token that the doctor needs, as the paths below ask for them.
const PERMISSIONS: [&str; 12] = [
    "Zone",
    "Zone WAF",
    "Transform Rules",
    "Single Redirect",
    "Firewall Services",
    "Bot Management",
    "Zone Settings",
    "Page Rules",
    "Workers Routes",
    "Workers Scripts",
    "Workers R2 Storage",
    "Account WAF",
];

/// The account, and what the token may read of it.
pub struct Account {
    /// What the token may read.
    pub permissions: BTreeSet<&'static str>,
    /// What is answered, by the path below `zones/ID` or `accounts/ID`; there is nothing elsewhere.
    pub resources: BTreeMap<String, Value>,
}

impl Account {
    /// A deployment as it should be.
    pub(super) fn well() -> Self {
        let mut account = Self { permissions: PERMISSIONS.into(), resources: BTreeMap::new() };
        account.put_phase("http_request_firewall_custom", vec![skip_rule()]);
        for (path, result) in [
            (
                "",
                json!({
                    "id": ZONE, "name": ZONE_NAME, "status": "active", "paused": false, "type": "full",
                    "plan": { "id": "94f3b7b768b0458b56d2cac4fe5ec0f9", "name": "Pro Website", "legacy_id": "pro" },
                }),
            ),
            (
                "bot_management",
                json!({ "enable_js": false, "fight_mode": false, "using_latest_model": true }),
            ),
            (
                "settings/security_level",
                json!({ "id": "security_level", "value": "medium", "editable": true }),
            ),
            ("settings/browser_check", json!({ "id": "browser_check", "value": "on", "editable": true })),
            (
                "settings/always_use_https",
                json!({ "id": "always_use_https", "value": "off", "editable": true }),
            ),
            (
                "settings/security_header",
                json!({
                    "id": "security_header", "editable": true, "modified_on": "2026-11-01T00:00:00Z",
                    "value": { "strict_transport_security": {
                        "enabled": false, "max_age": 0, "include_subdomains": false, "preload": false, "nosniff": false,
                    } },
                }),
            ),
            ("pagerules", json!([])),
            ("firewall/access_rules/rules", json!([])),
            ("firewall/lockdowns", json!([])),
            ("firewall/ua_rules", json!([])),
            (
                "workers/routes",
                json!([{
                    "id": "9a7806061c88ada191ed06f989cc3dac", "pattern": "ingest.example.com/*",
                    "script": "spillway-edge-ingest", "request_limit_fail_open": false,
                }]),
            ),
            ("workers/domains", json!([])),
            (
                "workers/scripts/spillway-edge-ingest/settings",
                json!({
                    "compatibility_date": "2026-11-01", "compatibility_flags": [], "usage_model": "standard",
                    "bindings": [
                        { "name": "NOTIFY_URL", "type": "plain_text", "text": "https://ingest.example.com/v1/traces" },
                        { "name": "NOTIFY_SIGNING_KEY", "type": "secret_text" },
                        { "name": "OBJECTS", "type": "r2_bucket", "bucket_name": "spillway" },
                        { "name": "KEYS", "type": "kv_namespace", "namespace_id": "0f2ac74b498b48028cb68387c421e279" },
                    ],
                }),
            ),
            (
                "workers/scripts/spillway-edge-ingest/schedules",
                json!({ "schedules": [{ "cron": "* * * * *", "created_on": "2026-11-01T00:00:00Z" }] }),
            ),
            (
                "r2/buckets/spillway/lifecycle",
                json!({ "rules": [{
                    "id": "expire-objects", "enabled": true, "conditions": { "prefix": "v1/" },
                    "deleteObjectsTransition": { "condition": { "type": "Age", "maxAge": 30 * 86_400 } },
                }] }),
            ),
        ] {
            account.resources.insert(path.to_owned(), result);
        }
        account
    }

    /// The entry point of a phase of the zone.
    pub fn put_phase(&mut self, phase: &str, rules: Vec<Value>) {
        let ruleset = json!({
            "id": "2f2feab2026849078ba485f918791bdc", "name": "zone", "kind": "zone", "phase": phase, "version": "3",
            "last_updated": "2026-11-01T00:00:00Z", "rules": rules,
        });
        self.resources.insert(format!("rulesets/phases/{phase}/entrypoint"), ruleset);
    }

    /// Changes one field of an answer; `pointer` is a JSON pointer.
    pub fn change(&mut self, path: &str, pointer: &str, to: Value) {
        if let Some(field) = self.resources.get_mut(path).and_then(|result| result.pointer_mut(pointer)) {
            *field = to;
        }
    }

    pub(super) fn permission_for(path: &str) -> &'static str {
        let of = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
        if path.is_empty() {
            "Zone"
        } else if of(&["rulesets/phases/http_request_transform"]) {
            "Transform Rules"
        } else if of(&["rulesets/phases/http_request_dynamic_redirect"]) {
            "Single Redirect"
        } else if of(&["rulesets"]) {
            "Zone WAF"
        } else if of(&["firewall"]) {
            "Firewall Services"
        } else if of(&["bot_management"]) {
            "Bot Management"
        } else if of(&["settings"]) {
            "Zone Settings"
        } else if of(&["pagerules"]) {
            "Page Rules"
        } else if of(&["workers/routes"]) {
            "Workers Routes"
        } else if of(&["workers"]) {
            "Workers Scripts"
        } else {
            "Workers R2 Storage"
        }
    }
}

/// The skip rule as it is shipped.
pub fn skip_rule() -> Value {
    json!({
        "id": "3a03d665bac047339bb530ecb439a90d", "version": "1", "enabled": true, "action": "skip",
        "ref": "spillway_skip_worker_notifications",
        "description": "Spillway: notifications of this zone's Worker pass all rules",
        "expression": "(http.host eq \"ingest.example.com\" and http.request.uri.path eq \"/v1/traces\" \
                       and cf.worker.upstream_zone eq \"example.com\")",
        "action_parameters": {
            "ruleset": "current",
            "phases": ["http_ratelimit", "http_request_sbfm", "http_request_firewall_managed"],
            "products": ["zoneLockdown", "uaBlock", "bic", "hot", "securityLevel", "rateLimit", "waf"],
        },
        "logging": { "enabled": true }, "last_updated": "2026-11-01T00:00:00Z",
    })
}

/// Another rule.
pub fn rule(action: &str, description: &str, expression: &str) -> Value {
    json!({
        "id": "da5e8e506c8e7877fe06cdf4c41add54", "version": "1", "enabled": true, "action": action,
        "description": description, "expression": expression, "last_updated": "2026-11-01T00:00:00Z",
    })
}
